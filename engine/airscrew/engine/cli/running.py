"""
Running: submit, follow to the end, print what came out. Also what ``retry`` and ``run --resume`` do.

An engine that goes away under us is no end: the next one that is reached, or our own, goes on with the same execution.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from airscrew.engine.api.model import ApiError, ExecutionView, ListRequest, OutputsView, SubmitRequest
from airscrew.engine.api.port import EngineApi
from airscrew.engine.cli.exits import ExitCode, exit_code_of_execution
from airscrew.engine.cli.follow import Outcome, follow, signals
from airscrew.engine.cli.options import pairs, seconds
from airscrew.engine.cli.progress import Reporter, make_reporter
from airscrew.engine.cli.render import as_data, as_object, output_lines
from airscrew.engine.cli.session import Session, working
from airscrew.engine.config import EngineSettings, WorkScope
from airscrew.idl.errors import UsageError
from airscrew.idl.phase import Phase

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App
    from airscrew.engine.cli.inputs import Prepared

TIMEOUTS = ("total", "attempt", "pending", "queued")

MOVES = 20
"""How often another engine is looked for in one run."""

_MOVE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of ``run`` as they were given; see its help."""

    inputs: str = ""
    single: tuple[str, ...] = ()
    task_name: str = ""
    name: str = ""
    namespace: str = ""
    label: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    executor: str = ""
    retries: int | None = None
    timeout: tuple[str, ...] = ()
    no_cache: bool = False
    cache_overwrite: bool = False
    output_prefix: str = ""
    detach: bool = False
    resume: bool = False
    with_logs: bool = True
    show_state: bool = False
    output: str = "text"


def to_request(options: RunOptions, prepared: Prepared) -> SubmitRequest:
    """
    Make the submission.

    A name is always chosen here, so that a submission whose answer was lost can be sent again.

    Raises:
        UsageError: An option is not valid.
    """
    from airscrew.idl.ids import checked_name

    namespace = checked_name(options.namespace or "default", "namespace")
    return SubmitRequest(
        namespace=namespace,
        name=checked_name(options.name, "name") if options.name else made_name(prepared.name),
        template=prepared.template,
        wire=prepared.wire,
        inputs=prepared.inputs,
        input_uri=prepared.input_uri,
        labels=pairs(options.label, "--label"),
        environment={**prepared.environment, **pairs(options.env, "--env")},
        executor=options.executor,
        max_attempts=None if options.retries is None else options.retries + 1,
        timeouts=timeouts(options.timeout),
        cache_overwrite=options.cache_overwrite,
        cache_skip=options.no_cache,
        output_prefix=_located(options.output_prefix),
    )


def _located(place: str) -> str:
    """Return a location as the engine takes it: a path that was typed is below the folder of this terminal."""
    return str(Path(place).expanduser().absolute()) if place and "://" not in place else place


def timeouts(values: tuple[str, ...]) -> dict[str, float]:
    """
    Read ``[KIND=]DURATION``.

    Raises:
        UsageError: It is something else.
    """
    result: dict[str, float] = {}
    for value in values:
        kind, equals, text = value.partition("=")
        if not equals:
            kind, text = "total", value
        if kind not in TIMEOUTS:
            raise UsageError(f"--timeout {value!r}: {kind!r} is none of {', '.join(TIMEOUTS)}")
        result[kind] = seconds(text, "--timeout")
    return result


def made_name(task: str) -> str:
    """Make an execution's name from its task's."""
    kept = "".join(
        letter if letter.isascii() and letter.isalnum() else "-" for letter in task.rpartition(".")[2].lower()
    )
    return f"{kept.strip('-')[:60] or 'task'}-{secrets.token_hex(4)}"


async def run_one(app: App, options: RunOptions, prepare: Callable[[], Awaitable[Prepared]]) -> int:
    """Prepare, submit and follow one execution; return the exit code."""
    prepared = await prepare()
    request = to_request(options, prepared)
    prepared.place_code()
    settings = for_run(app.settings())

    async def submit(session: Session) -> str:
        return (await session.api.submit(request)).execution

    work = WorkScope.everything() if options.resume else WorkScope.only()
    if options.detach:
        from airscrew.engine.cli.daemon import ensure_engine

        await ensure_engine(app, settings)
    return await drive(app, settings, work, options, submit)


def for_run(settings: EngineSettings) -> EngineSettings:
    """Return the settings for an engine of our own: it has no port, and processes unless the operator forbids them."""
    wanted = settings.process_executor
    return msgspec.structs.replace(settings, process_executor=True if wanted is None else wanted, listen="")


async def drive(
    app: App,
    settings: EngineSettings,
    work: WorkScope,
    options: RunOptions,
    begin: Callable[[Session], Awaitable[str]],
) -> int:
    """
    Begin an execution, follow it to its end, and print what came out.

    Args:
        app: What the command works with.
        settings: For an engine of our own.
        work: What an engine of our own works on besides.
        options: How to print, and whether to wait.
        begin: Submits and returns ``namespace/name``; called again when the engine went away before it answered.
    """
    reporter = make_reporter(sys.stderr, app.now, show_state=options.show_state)
    driver = _Driver(app, settings, work, options, reporter)
    try:
        async with signals() as keyboard:
            outcome, outputs = await driver.run(begin, keyboard)
    finally:
        reporter.close()
    if outcome is None:
        click.echo(driver.execution)
        return ExitCode.OK
    return conclude(outcome, outputs, options.output)


class _Driver:
    """One execution on one engine after another."""

    def __init__(
        self, app: App, settings: EngineSettings, work: WorkScope, options: RunOptions, reporter: Reporter
    ) -> None:
        self._app = app
        self._settings = settings
        self._work = work
        self._options = options
        self._reporter = reporter
        self._told: dict[int, int] = {}
        self.execution = ""

    async def run(
        self, begin: Callable[[Session], Awaitable[str]], keyboard: asyncio.Queue[signal.Signals]
    ) -> tuple[Outcome | None, OutputsView | None]:
        for move in range(MOVES):
            session: Session | None = None
            try:
                async with working(self._app, self._settings, self._scope()) as session:
                    return await self._on(session, begin, keyboard)
            except ApiError as error:
                if error.code != "unavailable" or move == MOVES - 1 or not self._may_move(session):
                    raise
                self._reporter.note("the engine went away; going on without it")
            await asyncio.sleep(_MOVE_SECONDS if self._app.server else 0)
        raise AssertionError("the last move returns or raises")

    def _may_move(self, session: Session | None) -> bool:
        """Tell whether another engine may know more: not when ours failed, nor when none was ever there."""
        return bool(self.execution) if session is None else not session.is_own

    def _scope(self) -> WorkScope:
        if not self.execution:
            return self._work
        return replace_scope(self._work, self.execution)

    async def _on(
        self,
        session: Session,
        begin: Callable[[Session], Awaitable[str]],
        keyboard: asyncio.Queue[signal.Signals],
    ) -> tuple[Outcome | None, OutputsView | None]:
        if not self.execution:
            self.execution = await begin(session)
            if self._options.detach:
                return None, None
            await self._tell_of_others(session)
        with_logs = self._options.with_logs
        outcome = await follow(
            session.api, self.execution, self._reporter, keyboard, with_logs=with_logs, told=self._told
        )
        succeeded = outcome.view.phase is Phase.SUCCESS and outcome.left_by is None
        return outcome, await session.api.outputs(self.execution) if succeeded else None

    async def _tell_of_others(self, session: Session) -> None:
        """Count what our own engine leaves alone."""
        if not session.is_own or self._options.resume:
            return
        page = await session.api.list(ListRequest(active=True, limit=500))
        others = sum(view.execution != self.execution for view in page.executions)
        if others:
            more = "more than " if page.next_page_token else ""
            self._reporter.note(f"{more}{others} unfinished left alone; airscrew run --resume goes on with them")


def replace_scope(work: WorkScope, execution: str) -> WorkScope:
    """Return a scope with one more execution."""
    return WorkScope(work.kind, work.executions | {execution})


def conclude(outcome: Outcome, outputs: OutputsView | None, output: str) -> int:
    """Print how an execution ended, and return the exit code."""
    view = outcome.view
    if outcome.left_by is not None:
        click.echo(f"airscrew: {view.execution} is left running; airscrew run --resume goes on with it", err=True)
        return ExitCode.INTERRUPTED if outcome.left_by is signal.SIGINT else ExitCode.TERMINATED
    if output != "text":
        click.echo(as_data(as_object(view, outputs), output))
    elif outputs is not None:
        for line in output_lines(outputs):
            click.echo(line)
    if view.phase is not Phase.SUCCESS:
        click.echo(f"airscrew: {ending(view)}", err=True)
    return ExitCode.INTERRUPTED if outcome.killed and view.phase is Phase.ABORTED else exit_code_of_execution(view)


def ending(view: ExecutionView) -> str:
    """Say how an execution that did not succeed ended, or why it is not followed any longer."""
    if view.quarantined:
        return f"{view.execution} is quarantined: {view.quarantined}; airscrew retry goes on with it, kill ends it"
    if view.phase is Phase.ABORTED:
        why = view.error.message if view.error else view.reason
        return f"{view.execution} was ended{': ' + why if why else ''}"
    if view.error is not None:
        kind = f"{view.error.kind.value.lower()} error {view.error.code}"
        return f"{view.execution} failed: {view.phase.title}, {kind}: {view.error.message}"
    return f"{view.execution} failed: {view.phase.title}{': ' + view.reason if view.reason else ''}"


async def resume_all(app: App, options: RunOptions) -> int:
    """Go on with everything that is unfinished, and return the worst exit code."""
    settings = for_run(app.settings())
    reporter = make_reporter(sys.stderr, app.now, show_state=options.show_state)
    try:
        async with signals() as keyboard, working(app, settings, WorkScope.everything()) as session:
            if not session.is_own:
                reporter.note(f"the engine at {session.where} holds the store; following what it does")
            page = await session.api.list(ListRequest(active=True, namespace=options.namespace, limit=500))
            waiting = [view for view in page.executions if not view.quarantined]
            if not waiting:
                reporter.note("nothing is unfinished")
            return await _follow_all(session.api, waiting, reporter, keyboard)
    finally:
        reporter.close()


async def _follow_all(
    api: EngineApi, views: list[ExecutionView], reporter: Reporter, keyboard: asyncio.Queue[signal.Signals]
) -> int:
    """Follow several at once; the first signal leaves them all running."""

    async def one(execution: str) -> int:
        async for view in api.watch(execution):
            reporter.phase(view)
            if view.is_over or view.quarantined:
                return exit_code_of_execution(view)
        raise ApiError("unavailable", f"the watch of {execution} ended before it was over")

    async with asyncio.TaskGroup() as group:
        left = group.create_task(keyboard.get())
        tasks = [group.create_task(one(view.execution)) for view in views]
        pending: set[asyncio.Task[int]] = set(tasks)
        while pending and not left.done():
            await asyncio.wait({left, *pending}, return_when=asyncio.FIRST_COMPLETED)
            pending = {task for task in pending if not task.done()}
        for task in (left, *pending):
            task.cancel()
    if pending:
        reporter.note(f"{len(pending)} left running; airscrew run --resume goes on with them")
        return ExitCode.INTERRUPTED
    return max((task.result() for task in tasks), default=0)
