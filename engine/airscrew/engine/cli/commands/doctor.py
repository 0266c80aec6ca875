"""``airscrew doctor``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli import render
from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import output_option

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App
    from airscrew.engine.cli.checks import Finding


@click.command(cls=Command)
@output_option("text", "json", "yaml")
@click.pass_obj
def doctor(app: App, output: str) -> int:
    """
    Check that everything needed is in order.

    A tick is well, a ! costs something, a cross keeps airscrew from working; then the exit code is 3.
    """
    from airscrew.engine.cli.checks import Mark
    from airscrew.engine.cli.exits import ExitCode

    findings = asyncio.run(examine(app))
    click.echo(as_text(findings) if output == "text" else render.as_data([_plain(one) for one in findings], output))
    failed = any(finding.mark is Mark.FAIL for finding in findings)
    return ExitCode.SYSTEM_FAILURE if failed else ExitCode.OK


async def examine(app: App) -> list[Finding]:
    """Make all checks; settings that cannot be read end it early."""
    from airscrew.engine.cli import checks
    from airscrew.idl.errors import UsageError

    findings = list(checks.check_versions())
    try:
        settings = app.settings()
    except UsageError as error:
        hint = "mend the file, or name another by --config"
        return [*findings, checks.Finding(section="settings", mark=checks.Mark.FAIL, text=str(error), hint=hint)]
    findings += checks.check_home(settings)
    findings += await checks.check_store(settings)
    findings += await _executors(app)
    findings += [*checks.check_sdks(), *checks.check_secrets(settings), *checks.check_machine()]
    return findings


async def _executors(app: App) -> list[Finding]:
    from airscrew.engine.api.model import ApiError
    from airscrew.engine.cli import checks
    from airscrew.engine.cli.exits import one_line
    from airscrew.engine.cli.session import looking
    from airscrew.idl.errors import AirscrewError

    try:
        async with looking(app) as api:
            return list(checks.check_executors(await api.executors()))
    except (AirscrewError, ApiError, OSError) as error:
        hint = "mend what is said of the store first"
        return [checks.Finding(section="executors", mark=checks.Mark.FAIL, text=one_line(error), hint=hint)]


def as_text(findings: Sequence[Finding]) -> str:
    """Write findings below their sections."""
    lines: list[str] = []
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            lines += ["", section] if lines else [section]
        lines.append(f"  {finding.mark.value} {finding.text}")
        if finding.hint:
            lines.append(f"      {finding.hint}")
    return "\n".join(lines)


def _plain(finding: Finding) -> dict[str, str]:
    return {
        "section": finding.section,
        "status": finding.mark.name.lower(),
        "text": finding.text,
        "hint": finding.hint,
    }
