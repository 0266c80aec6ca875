"""
The executor of ``trino``: pages of Trino's statement protocol, over the WebAPI framework.

A page is fetched only when the state that holds its address has been stored: a check is given the stored state, and
lets it through. Trino gives the last page that it gave again, so nothing is lost with an engine that ends in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import msgspec
from cachetools import LRUCache
from typing_extensions import override

from airscrew.engine.executor import Gone, Idempotent, NotStarted, StillThere, TaskContext, TaskStatus
from airscrew.idl.phase import LogLink
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.http_provider import HttpExecutor, HttpPlugin, OpenTransport, limits_of
from airscrew.plugins.settings import read_settings
from airscrew.plugins.sql_text import TRINO, rendered, scan
from airscrew.plugins.trino.client import CREDENTIAL, TrinoClient, view_of
from airscrew.plugins.trino.config import TrinoConfig, trino_problems
from airscrew.plugins.trino.decide import decide
from airscrew.plugins.trino.state import QueryState, QueryView, Stage
from airscrew.plugins.trino.statement import Query, bind, dropping, query_of, results_type, table_of, written_to
from airscrew.plugins.webapi import Created, Opening, Prepared, Reports, SecretRef, UnclearError

Context = TaskContext[QueryState]
_ENDING = "FINISHING"


class TrinoPlugin(HttpPlugin[QueryState, QueryView]):
    """
    Queries of one Trino.

    Args:
        open_transport: Opens what sends requests.
    """

    id = "trino"
    task_types = ("hive", "presto", "trino")
    state_type = QueryState
    start_declaration = Idempotent()  # what is registered and never fetched never runs, and nobody else has its address

    def __init__(self, open_transport: OpenTransport) -> None:
        super().__init__(open_transport)
        self.config: TrinoConfig
        self.client: TrinoClient
        self._reports: Reports[QueryView]
        self._stored: LRUCache[str, QueryState]
        self._hurried: LRUCache[str, bool]
        self._latest: LRUCache[str, str]

    @override
    def configure(self, config: Mapping[str, object]) -> None:
        self.config = read = read_settings(self.id, config, TrinoConfig, trino_problems)
        named = read.jwt or read.password
        self.secrets = {CREDENTIAL: SecretRef(named.secret, named.group)} if named is not None else {}
        self.limits = replace(limits_of(read), size=read.cache_size)
        self._stored, self._hurried = LRUCache(read.cache_size), LRUCache(read.cache_size)
        self._latest = LRUCache(read.cache_size)

    @override
    async def open(self, opening: Opening[QueryView]) -> None:
        transport = self.opened_transport(opening)
        self.client = TrinoClient(config=self.config, transport=transport, vault=opening.vault)
        self._reports = opening.reports

    @override
    async def prepare(self, context: Context, template: TaskTemplate) -> Prepared[QueryState]:
        query, results = query_of(template), results_type(template)
        parts = scan(query.statement, TRINO)
        table = table_of(query.statement, parts, self.config.results, context.key) if results else ""
        statement = bind(await rendered(context, parts), await context.inputs())
        location = context.locations.raw_output_prefix if results else ""
        if table and self.config.results is not None:
            statement = written_to(statement, table, location, self.config.results.format)
        state = QueryState(id="", created_at=0.0, table=table, results=results, location=location)
        return Prepared(state, (statement, query))

    @override
    async def create(self, context: Context, prepared: Prepared[QueryState]) -> Created[QueryView]:
        statement, query = cast("tuple[str, Query]", prepared.body)
        results = await self.client.register(statement, query, context.key)
        view = view_of(results, Stage.QUERY, is_written=bool(prepared.state.table))
        if not view.next and not view.error:
            raise UnclearError("trino: a query was registered and has no next address")
        if view.next:
            view = replace(view, stage=Stage.REGISTERED)
        return Created(results.id, view)

    @override
    async def get(self, state: QueryState) -> QueryView | None:
        """
        Fetch the page whose address is stored, or make the query that drops the name of a table.

        Of a query that is being stopped the page after the last one is fetched: that one would say what it said before.
        """
        stored = self._stored.get(state.id)
        if stored is None:
            return QueryView()
        is_drop = stored.stage in {Stage.WRITTEN, Stage.DROP}
        path = self._latest.get(state.id, stored.next) if state.stopping else stored.next
        if stored.stage is Stage.WRITTEN:
            results = await self.client.register(dropping(stored.table), Query(statement=""), stored.id)
        else:
            found = await self.client.fetch(path, state.id) if path else None
            if found is None:
                return QueryView(stage=Stage.DONE) if is_drop else None
            results = found
        view = view_of(results, Stage.DROP if is_drop else Stage.QUERY, is_written=bool(stored.table))
        self._hurried[state.id] = is_news(stored, view)
        self._latest[state.id] = view.next or path
        return view

    @override
    async def delete(self, state: QueryState) -> QueryView | None:
        """Cancel a query; one that was registered and never fetched is over with that: it will never run."""
        if not state.next:
            return QueryView(stage=Stage.DONE)
        if not await self.client.cancel(state.next):
            return None
        is_unfetched = state.stage is Stage.REGISTERED and state.id not in self._stored
        return QueryView(stage=Stage.DONE if is_unfetched else Stage.QUERY)

    @override
    def is_over(self, view: QueryView) -> bool:
        return view.stage is Stage.DONE

    @override
    def status(self, state: QueryState, view: QueryView | None) -> TaskStatus[QueryState]:
        return decide(state, view)

    @override
    def links(self, state: QueryState, view: QueryView | None) -> Sequence[LogLink]:
        return (LogLink(name="Trino", uri=state.page),) if state.page else ()

    def keep(self, state: QueryState) -> bool:
        """Take note of a state that has been stored; tells whether it was not known."""
        is_new = self._stored.get(state.id) != state
        self._stored[state.id] = state
        return is_new

    def hurry(self, state: QueryState) -> None:
        """Fetch the next page now, if the last one was not only "still running"."""
        if self._hurried.get(state.id, True):
            self._reports.look_at(state.id)


class TrinoExecutor(HttpExecutor[QueryState, QueryView]):
    """
    Runs tasks of the types ``hive``, ``presto`` and ``trino`` as queries of Trino.
    """

    plugin_type = TrinoPlugin

    @override
    async def start_task(self, context: Context, template: TaskTemplate) -> TaskStatus[QueryState] | NotStarted:
        """Register the query; its first check lets it run."""
        started = await super().start_task(context, template)
        return started if isinstance(started, NotStarted) else started.after(0)

    @override
    async def check_task_status(self, context: Context, state: QueryState) -> TaskStatus[QueryState]:
        """Say what was heard of the query last; the page whose address is stored may be fetched from now on."""
        plugin = self._plugin
        is_new = plugin.keep(state)
        status = await super().check_task_status(context, state)
        if status.state.next != state.next or status.state.stage is not state.stage:
            return status.after(0)  # when that is stored
        if is_new:
            plugin.hurry(state)
        return status

    @override
    async def kill_task(self, context: Context, state: QueryState, reason: str) -> Gone | StillThere[QueryState]:
        """Cancel the query, then look whether it is over, in turns: one request a call."""
        if state.stage is not Stage.REGISTERED:
            self._plugin.keep(msgspec.structs.replace(state, stopping=False))
        return await super().kill_task(context, state, reason)

    @property
    def _plugin(self) -> TrinoPlugin:
        return cast("TrinoPlugin", self.provider(self.id).plugin)


def is_news(stored: QueryState, view: QueryView) -> bool:
    """Tell whether a page says more than that the query is where it was; then the next one follows at once. Pure."""
    before = (stored.status, stored.stage, stored.next.split("/")[:4])
    return view.rows > 0 or view.status == _ENDING or before != (view.status, view.stage, view.next.split("/")[:4])
