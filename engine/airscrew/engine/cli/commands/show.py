"""``airscrew get`` and ``airscrew describe``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli import render
from airscrew.engine.cli.command import Command
from airscrew.engine.cli.commands import listing
from airscrew.engine.cli.options import execution_name, namespace_option, output_option, run_async

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutionView, OutputsView
    from airscrew.engine.cli.app import App


@click.command(cls=Command)
@click.argument("execution")
@namespace_option
@output_option("table", "wide", "name", "json", "yaml")
@click.pass_obj
def get(app: App, execution: str, namespace: str, output: str) -> None:
    """Show an execution in one line or as data."""
    view, outputs = _read(app, execution_name(execution, namespace), with_outputs=output in {"json", "yaml"})
    if output in {"json", "yaml"}:
        click.echo(render.as_data(render.as_object(view, outputs), output))
    else:
        click.echo(listing.show([view], output, app.now()))


@click.command(cls=Command)
@click.argument("execution")
@namespace_option
@output_option("text", "json", "yaml")
@click.pass_obj
def describe(app: App, execution: str, namespace: str, output: str) -> None:
    """Show all that is known of an execution."""
    view, outputs = _read(app, execution_name(execution, namespace), with_outputs=True)
    if output in {"json", "yaml"}:
        click.echo(render.as_data(render.as_object(view, outputs), output))
    else:
        click.echo(render.fields(_fields(view, outputs, app.now())))


def _read(app: App, execution: str, *, with_outputs: bool) -> tuple[ExecutionView, OutputsView | None]:
    from airscrew.engine.cli.session import looking
    from airscrew.idl.phase import Phase

    async def main() -> tuple[ExecutionView, OutputsView | None]:
        async with looking(app) as api:
            view = await api.get(execution)
            succeeded = view.phase is Phase.SUCCESS
            return view, await api.outputs(execution) if with_outputs and succeeded else None

    return run_async(main)


def _fields(view: ExecutionView, outputs: OutputsView | None, now: float) -> Iterator[tuple[str, str]]:
    import msgspec

    attempts = max(view.max_attempts, view.attempt + 1)
    yield "Name", view.execution
    yield "UID", view.uid
    yield "Task", f"{view.task_name} ({view.task_type})" if view.task_name else view.task_type
    yield "Executor", view.executor
    yield "Phase", listing.phase_text(view)
    yield "Reason", listing.reason_text(view)
    yield "Since", _with_age(view.since, now)
    yield "Attempt", f"{view.attempt + 1} of {attempts}"
    yield "Key", view.key
    yield "Next look", f"in {render.duration(view.next_try_at - now)}" if view.next_try_at > now else ""
    yield "Progress", "" if view.info.progress is None else f"{view.info.progress:.0%}"
    yield "Labels", render.labels(view.labels)
    yield "Parent", view.parent
    yield "Retry of", view.origin
    yield "Cache", view.cache_status
    yield "Timeline", "\n".join(_timeline(view))
    yield "Error", _error(view)
    yield "Logs", "\n".join(f"{link.name}: {link.uri}" for link in view.info.logs)
    yield "Outside", "\n".join(f"{part.external_id}  {part.phase.title}" for part in view.info.external_resources)
    yield "Still open", "\n".join(view.ledger)
    yield "Custom state", "" if view.custom_state is None else msgspec.json.encode(view.custom_state).decode()
    yield "Outputs", "\n".join(render.output_lines(outputs)) if outputs else ""
    yield "Output URI", "" if view.output_uri.startswith("data:") else view.output_uri
    yield "Deck", view.deck_uri


def _with_age(then: float, now: float) -> str:
    return f"{render.moment(then)} ({render.age(then, now)} ago)" if then > 0 else ""


def _error(view: ExecutionView) -> str:
    return f"{view.error.kind.value} {view.error.code}\n{view.error.message}" if view.error else ""


def _timeline(view: ExecutionView) -> list[str]:
    """Return what happened when, in order."""
    return [f"{render.moment(when)}  {text}" for when, text in sorted(_events(view), key=lambda event: event[0])]


def _events(view: ExecutionView) -> Iterator[tuple[float, str]]:
    yield view.accepted_at, "accepted"
    for past in view.attempts:
        if past.started_at:
            yield past.started_at, f"attempt {past.attempt + 1} started"
        took = f" ({render.duration(past.ended_at - past.started_at)})" if past.started_at else ", never started"
        cause = f": {render.cut(render.headline(past.error.message))}" if past.error else ""
        yield past.ended_at, f"attempt {past.attempt + 1} ended {past.phase.title}{took}{cause}"
    if view.started_at and view.attempt not in {past.attempt for past in view.attempts}:
        yield view.started_at, f"attempt {view.attempt + 1} started"
    for reason in view.info.reasons:
        yield reason.occurred_at, reason.reason
    if view.ended_at:
        yield view.ended_at, f"{view.phase.title} after {render.duration(view.ended_at - view.accepted_at)}"
