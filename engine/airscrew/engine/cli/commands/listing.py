"""``airscrew list``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli import render
from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import label_option, namespace_option, output_option, pairs, run_async

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutionView, ListRequest
    from airscrew.engine.api.port import EngineApi
    from airscrew.engine.cli.app import App
    from airscrew.idl.phase import Phase


@click.command("list", cls=Command)
@namespace_option
@label_option
@click.option("--phase", "phases", multiple=True, metavar="PHASE", help="Only this phase; may be given more than once.")
@click.option("--active", is_flag=True, help="Only what is not over.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many.")
@output_option("table", "wide", "name", "json", "yaml")
@click.pass_obj
def list_command(
    app: App, namespace: str, label: tuple[str, ...], phases: tuple[str, ...], active: bool, limit: int, output: str
) -> None:
    """List executions."""
    from airscrew.engine.api.model import ListRequest
    from airscrew.engine.cli.session import looking

    request = ListRequest(
        namespace=namespace, labels=pairs(label, "--label"), phases=[_phase(text) for text in phases], active=active
    )

    async def main() -> tuple[list[ExecutionView], bool]:
        async with looking(app) as api:
            return await first(api, request, limit)

    views, more = run_async(main)
    click.echo(show(views, output, app.now()))
    if more:
        click.echo(f"airscrew: there are more than {limit}: see --limit", err=True)


def _phase(text: str) -> Phase:
    from airscrew.idl.errors import UsageError
    from airscrew.idl.phase import Phase

    try:
        return Phase.from_title(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


async def first(api: EngineApi, request: ListRequest, limit: int) -> tuple[list[ExecutionView], bool]:
    """Read so many executions, page by page, and tell whether there are more."""
    from msgspec.structs import replace

    views: list[ExecutionView] = []
    token = ""
    while len(views) < limit:
        page = await api.list(replace(request, limit=min(limit - len(views), 500), page_token=token))
        views += page.executions
        token = page.next_page_token
        if not token:
            break
    return views, bool(token)


def show(views: Sequence[ExecutionView], output: str, now: float) -> str:
    """Write executions in one of the forms."""
    match output:
        case "name":
            return "\n".join(view.execution for view in views)
        case "json" | "yaml":
            return render.as_data(list(views), output)
        case _ if not views:
            return "no executions"
        case "wide":
            return render.table([*_HEADERS, *_MORE_HEADERS], [[*_cells(view, now), *_more(view)] for view in views])
        case _:
            return render.table(_HEADERS, [_cells(view, now) for view in views])


_HEADERS = ("NAME", "TASK TYPE", "PHASE", "REASON", "ATTEMPT", "AGE")
_MORE_HEADERS = ("EXECUTOR", "TASK", "KEY", "LABELS")


def _cells(view: ExecutionView, now: float) -> list[str]:
    attempt = f"{view.attempt + 1}/{max(view.max_attempts, view.attempt + 1)}"
    return [
        view.execution,
        view.task_type,
        phase_text(view),
        render.cut(reason_text(view)),
        attempt,
        render.age(view.accepted_at, now),
    ]


def _more(view: ExecutionView) -> list[str]:
    return [view.executor, view.task_name, view.key, render.labels(view.labels)]


def phase_text(view: ExecutionView) -> str:
    """Return the phase as people read it; what is quarantined says so."""
    return f"{view.phase.title} (quarantined)" if view.quarantined else view.phase.title


def reason_text(view: ExecutionView) -> str:
    """Return why an execution stands where it does."""
    return render.headline(view.quarantined or (view.error.message if view.error else "") or view.reason)
