"""
The executor of ``athena``: single requests to Athena, over the WebAPI framework.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from typing_extensions import override

from airscrew.engine.executor import Idempotent, OutputsAt, TaskContext, TaskStatus
from airscrew.idl.phase import LogLink
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.athena.config import AthenaConfig, athena_problems
from airscrew.plugins.athena.decide import OVER, decide, outputs_of, results_type, view_of
from airscrew.plugins.athena.query import Bound, Query, bind, query_of, take_apart
from airscrew.plugins.athena.state import AthenaState, QueryView
from airscrew.plugins.aws import AwsClient, secrets_of
from airscrew.plugins.http_provider import HttpExecutor, HttpPlugin, OpenTransport, limits_of
from airscrew.plugins.settings import read_settings
from airscrew.plugins.sql_text import rendered
from airscrew.plugins.webapi import (
    Created,
    Opening,
    Prepared,
    RefusedError,
    UnclearError,
)

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

Context = TaskContext[AthenaState]


class AthenaPlugin(HttpPlugin[AthenaState, QueryView]):
    """
    Queries of Athena.

    Args:
        open_transport: Opens what sends requests.
    """

    id = "athena"
    task_types = ("hive", "presto")
    state_type = AthenaState
    start_declaration = Idempotent(AthenaConfig().token_window)
    reads_single_jobs = True  # a query that a batch leaves out may only be one that Athena could not look at just then

    def __init__(self, open_transport: OpenTransport) -> None:
        super().__init__(open_transport)
        self.config = AthenaConfig()
        self.client: AwsClient

    @override
    def configure(self, config: Mapping[str, object]) -> None:
        self.config = read_settings(self.id, config, AthenaConfig, athena_problems)
        self.secrets = secrets_of(self.config.credentials)
        self.start_declaration = Idempotent(self.config.token_window)
        self.limits = replace(limits_of(self.config), batch_size=self.config.batch, size=self.config.cache_size)

    @override
    async def open(self, opening: Opening[QueryView]) -> None:
        transport = self.opened_transport(opening)
        self.client = AwsClient(
            executor=self.id, service="athena", config=self.config, vault=opening.vault, transport=transport
        )
        await self.client.open(opening.stack)

    @override
    async def prepare(self, context: Context, template: TaskTemplate) -> Prepared[AthenaState]:
        query = query_of(template)
        state = AthenaState(id="", created_at=0.0, results=results_type(template))
        parts, dialect = take_apart(query.statement)
        bound = bind(await rendered(context, parts), dialect, await context.inputs())
        return Prepared(state, self._request(context, query, bound))

    @override
    async def create(self, context: Context, prepared: Prepared[AthenaState]) -> Created[QueryView]:
        answer = await self.client.call("start_query_execution", **cast("dict[str, object]", prepared.body))
        query_id = answer.get("QueryExecutionId")
        if not isinstance(query_id, str) or not query_id:
            raise UnclearError(f"athena: a query was started and has no id: {sorted(answer)}")
        return Created(query_id)

    @override
    async def get(self, state: AthenaState) -> QueryView | None:
        try:
            answer = await self.client.call("get_query_execution", QueryExecutionId=state.id)
        except RefusedError as error:
            if _says_unknown(error):
                return None
            raise
        return view_of(_object(answer.get("QueryExecution")))

    @override
    async def get_many(self, states: Sequence[AthenaState]) -> Mapping[str, QueryView]:
        wanted = [state.id for state in states]
        answer = await self.client.call("batch_get_query_execution", QueryExecutionIds=wanted)
        told = answer.get("QueryExecutions")
        if not isinstance(told, list):
            raise UnclearError(f"athena: an answer without a list of queries: {sorted(answer)}")
        queries = [_object(one) for one in cast("list[object]", told)]
        return {str(query.get("QueryExecutionId")): view_of(query) for query in queries}

    @override
    async def delete(self, state: AthenaState) -> QueryView | None:
        try:
            await self.client.call("stop_query_execution", QueryExecutionId=state.id)
        except RefusedError as error:
            if _says_unknown(error):
                return None
            raise
        return QueryView()

    @override
    def is_over(self, view: QueryView) -> bool:
        return view.status in OVER

    @override
    def status(self, state: AthenaState, view: QueryView | None) -> TaskStatus[AthenaState]:
        return decide(state, view or QueryView())

    @override
    async def outputs(
        self, context: Context, state: AthenaState, view: QueryView | None
    ) -> LiteralMap | OutputsAt | None:
        """Ask once more where the results lie: it was not heard in this life of the engine."""
        heard = view if view is not None and view.location else await self.get(state)
        return outputs_of(state, heard or QueryView())

    @override
    def links(self, state: AthenaState, view: QueryView | None) -> Sequence[LogLink]:
        region = self.client.region
        uri = f"https://{region}.console.aws.amazon.com/athena/home?region={region}#/query-editor/history/{state.id}"
        return (LogLink(name="Athena Query Console", uri=uri),)

    def _request(self, context: Context, query: Query, bound: Bound) -> dict[str, object]:
        config = self.config
        database = query.database or config.database
        request: dict[str, object] = {
            "ClientRequestToken": token_of(context.key),
            "QueryString": bound.statement,
            "WorkGroup": query.workgroup or config.workgroup,
            "QueryExecutionContext": {
                "Catalog": query.catalog or config.catalog,
                **({"Database": database} if database else {}),
            },
        }
        if bound.parameters:
            request["ExecutionParameters"] = bound.parameters
        place = config.output_location or context.locations.raw_output_prefix
        if place.startswith("s3://"):
            request["ResultConfiguration"] = {"OutputLocation": place.rstrip("/") + "/"}
        return request


class AthenaExecutor(HttpExecutor[AthenaState, QueryView]):
    """
    Runs tasks of the types ``hive`` and ``presto`` as queries of Athena.
    """

    plugin_type = AthenaPlugin


def token_of(key: str) -> str:
    """Make an attempt's key as long as Athena wants a token, 32 characters at least."""
    return f"airscrew-{key}".ljust(32, "-")


def _says_unknown(error: RefusedError) -> bool:
    return "not found" in str(error).lower()


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise UnclearError(f"athena: an answer holds a {type(value).__name__} where a query was expected")
    return cast("Mapping[str, object]", value)
