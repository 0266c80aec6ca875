"""
The executor of ``databricks``: single requests to the Jobs API, over the WebAPI framework.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from cachetools import LRUCache
from typing_extensions import override

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Idempotent, TaskContext, TaskStatus
from airscrew.idl.phase import LogLink
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.databricks.client import DatabricksClient
from airscrew.plugins.databricks.config import TOKEN_SECONDS, DatabricksConfig, databricks_problems
from airscrew.plugins.databricks.decide import OVER, decide, view_of
from airscrew.plugins.databricks.request import Work, conf_of, notebook_of, run_of
from airscrew.plugins.databricks.state import RunState, RunView
from airscrew.plugins.databricks.tokens import SECRET, Tokens
from airscrew.plugins.http_provider import HttpExecutor, HttpPlugin, OpenTransport, limits_of
from airscrew.plugins.settings import read_settings
from airscrew.plugins.webapi import Created, Opening, Prepared, RefusedError, SecretRef

Context = TaskContext[RunState]

_ENDED_ALREADY = "INVALID_STATE"


class DatabricksPlugin(HttpPlugin[RunState, RunView]):
    """
    Runs of one workspace.

    Args:
        open_transport: Opens what sends requests.
    """

    id = "databricks"
    task_types = ("databricks", "spark")
    state_type = RunState
    start_declaration = Idempotent(TOKEN_SECONDS)
    reads_single_jobs = True  # the list is of active runs alone: what it leaves out has ended, or did not fit in

    def __init__(self, open_transport: OpenTransport) -> None:
        super().__init__(open_transport)
        self.config: DatabricksConfig
        self.client: DatabricksClient
        self._started: LRUCache[str, int]

    @override
    def configure(self, config: Mapping[str, object]) -> None:
        self.config = read = read_settings(self.id, config, DatabricksConfig, databricks_problems)
        named = read.token or read.oauth
        self.secrets = {SECRET: SecretRef(named.secret, named.group)} if named is not None else {}
        self.limits = replace(limits_of(read), batch_size=read.batch, size=read.cache_size)
        self._started = LRUCache(read.cache_size)

    @override
    async def open(self, opening: Opening[RunView]) -> None:
        transport = self.opened_transport(opening)
        tokens = Tokens(config=self.config, transport=transport, vault=opening.vault, clock=opening.setup.clock)
        self.client = DatabricksClient(config=self.config, transport=transport, tokens=tokens)

    @override
    async def prepare(self, context: Context, template: TaskTemplate) -> Prepared[RunState]:
        conf = conf_of(template, self.config)
        path, parameters = notebook_of(template)
        container = template.container
        if container is None and not path:
            raise PermanentError("a databricks task needs a container, or a notebook", code="BadTaskSpecification")
        await context.place_inputs()
        image = str(context.overrides.get("image") or (container.image if container is not None else ""))
        work = Work(
            name=template.id.name or context.key,
            image=image,
            arguments=await context.render(list(container.args)) if container is not None else (),
            environment={
                **context.environment,
                **(container.env if container is not None else {}),
                "FLYTE_FAIL_ON_ERROR": "true",  # or a task that fails looks as if it had succeeded
            },
            parameters=dict(zip(parameters, await context.render(list(parameters.values())), strict=True)),
        )
        state = RunState(
            id="",
            created_at=0.0,
            outputs=context.locations.output_prefix,
            may_write_nothing=not template.interface.outputs,
        )
        run = run_of(template, conf, work, self.config)
        return Prepared(state, {**run, "idempotency_token": context.key})

    @override
    async def create(self, context: Context, prepared: Prepared[RunState]) -> Created[RunView]:
        return Created(await self.client.submit(cast("dict[str, object]", prepared.body)))

    @override
    async def get(self, state: RunState) -> RunView | None:
        run = await self.client.get(state.id)
        return None if run is None else self._seen(state.id, run)

    @override
    async def get_many(self, states: Sequence[RunState]) -> Mapping[str, RunView]:
        """List the active runs that began when these did; one of which that is not known is asked for alone."""
        began = {state.id: state.started_ms or self._started.get(state.id, 0) for state in states}
        known = [at for at in began.values() if at]
        if not known:
            return {}
        runs = {str(run.get("run_id")): run for run in await self.client.active(min(known), max(known))}
        return {run_id: self._seen(run_id, run) for run_id, run in runs.items() if run_id in began}

    @override
    async def delete(self, state: RunState) -> RunView | None:
        try:
            return RunView() if await self.client.cancel(state.id) else None
        except RefusedError as error:
            if error.code == _ENDED_ALREADY:
                return RunView()  # the next look tells how
            raise

    @override
    def is_over(self, view: RunView) -> bool:
        return view.status in OVER

    @override
    def status(self, state: RunState, view: RunView | None) -> TaskStatus[RunState]:
        return decide(state, view or RunView())

    @override
    def links(self, state: RunState, view: RunView | None) -> Sequence[LogLink]:
        return (LogLink(name="Databricks Console", uri=state.page),) if state.page else ()

    def _seen(self, run_id: str, run: Mapping[str, object]) -> RunView:
        """Read a run, and keep when it began: the state that it is listed by next may be from before that was known."""
        view = view_of(run)
        if view.started_ms:
            self._started[run_id] = view.started_ms
        return view


class DatabricksExecutor(HttpExecutor[RunState, RunView]):
    """
    Runs tasks of the types ``databricks`` and ``spark`` as one-time runs of Databricks.
    """

    plugin_type = DatabricksPlugin
