"""
The executor of ``bigquery``: single requests to BigQuery, over the WebAPI framework.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from cachetools import LRUCache
from typing_extensions import override

from airscrew.engine.executor import Idempotent, TaskContext, TaskStatus
from airscrew.idl.phase import LogLink
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.bigquery.client import BigQueryClient
from airscrew.plugins.bigquery.config import BigQueryConfig, bigquery_problems
from airscrew.plugins.bigquery.decide import DONE, decide, job_id_of, results_type, view_of
from airscrew.plugins.bigquery.query import configuration_of, place_of, statement_of
from airscrew.plugins.bigquery.state import BigQueryState, QueryView
from airscrew.plugins.bigquery.tokens import KEY, Tokens
from airscrew.plugins.http_provider import HttpExecutor, HttpPlugin, OpenTransport, limits_of
from airscrew.plugins.settings import read_settings
from airscrew.plugins.sql_text import BIGQUERY, rendered, scan
from airscrew.plugins.webapi import (
    Created,
    Opening,
    Prepared,
    SecretRef,
    UnclearError,
)

Context = TaskContext[BigQueryState]

_CLOCKS_APART_SECONDS = 300.0
"""So far Google's clock may be from ours."""


class BigQueryPlugin(HttpPlugin[BigQueryState, QueryView]):
    """
    Queries of BigQuery.

    Args:
        open_transport: Opens what sends requests.
    """

    id = "bigquery"
    task_types = ("bigquery_query_job_task",)
    state_type = BigQueryState
    start_declaration = Idempotent()  # an id is never given twice in a project
    reads_single_jobs = True  # the list is of the whole project: what it leaves out may be there

    def __init__(self, open_transport: OpenTransport) -> None:
        super().__init__(open_transport)
        self.config = BigQueryConfig()
        self.client: BigQueryClient
        self._locations: LRUCache[str, str] = LRUCache(self.config.cache_size)

    @override
    def configure(self, config: Mapping[str, object]) -> None:
        self.config = read_settings(self.id, config, BigQueryConfig, bigquery_problems)
        key = self.config.key
        self.secrets = {KEY: SecretRef(key.secret, key.group)} if key is not None else {}
        self.limits = replace(limits_of(self.config), batch_size=self.config.batch, size=self.config.cache_size)

    @override
    async def open(self, opening: Opening[QueryView]) -> None:
        transport = self.opened_transport(opening)
        tokens = Tokens(self.config, opening.vault)
        self.client = BigQueryClient(config=self.config, transport=transport, tokens=tokens)

    @override
    async def prepare(self, context: Context, template: TaskTemplate) -> Prepared[BigQueryState]:
        project, location = place_of(template, self.config.project, self.config.location)
        parts = await rendered(context, scan(statement_of(template), BIGQUERY))
        labels = {"airscrew-key": str(context.key)}
        configuration = configuration_of(template, parts, await context.inputs(), labels)
        reference = {"projectId": project, "jobId": str(context.key), **({"location": location} if location else {})}
        state = BigQueryState(id="", created_at=0.0, project=project, location=location, results=results_type(template))
        return Prepared(state, {"jobReference": reference, "configuration": configuration})

    @override
    async def create(self, context: Context, prepared: Prepared[BigQueryState]) -> Created[QueryView]:
        body = cast("dict[str, object]", prepared.body)
        job = await self.client.insert(prepared.state.project, body)
        if job is None:
            return Created(str(context.key))  # it was made before, by a request whose answer was lost
        if job_id_of(job) != context.key:
            raise UnclearError(f"bigquery: job {context.key} was made, and the answer is of {job_id_of(job)!r}")
        return Created(str(context.key), self._seen(job))

    @override
    async def get(self, state: BigQueryState) -> QueryView | None:
        location = self._location_of(state)
        if not location:
            return await self._looked_for(state)
        job = await self.client.get(state.project, location, state.id)
        return None if job is None else view_of(job)

    @override
    async def get_many(self, states: Sequence[BigQueryState]) -> Mapping[str, QueryView]:
        """Read the newest jobs of the project that most of them are of; the others are then asked for alone."""
        (project, _), *_ = Counter(state.project for state in states).most_common(1)
        since = min(state.created_at for state in states if state.project == project)
        jobs, _ = await self.client.newest(project, since - _CLOCKS_APART_SECONDS)
        wanted = {state.id for state in states if state.project == project}
        return {job_id_of(job): self._seen(job) for job in jobs if job_id_of(job) in wanted}

    @override
    async def delete(self, state: BigQueryState) -> QueryView | None:
        location = self._location_of(state)
        if not location:
            found = await self._looked_for(state)
            if found is None:
                return None
            location = found.location
        job = await self.client.cancel(state.project, location, state.id)
        return None if job is None else view_of(job)

    @override
    def is_over(self, view: QueryView) -> bool:
        return view.status == DONE

    @override
    def status(self, state: BigQueryState, view: QueryView | None) -> TaskStatus[BigQueryState]:
        return decide(state, view or QueryView())

    @override
    def links(self, state: BigQueryState, view: QueryView | None) -> Sequence[LogLink]:
        job = f"bq:{state.location}:{state.id}"
        uri = f"https://console.cloud.google.com/bigquery?project={state.project}&j={job}&page=queryresults"
        return (LogLink(name="BigQuery Console", uri=uri),)

    async def _looked_for(self, state: BigQueryState) -> QueryView | None:
        """
        Find a job whose location is not known: by itself it can only be read with it, but a list has all locations.

        Raises:
            UnclearError: It is not among the newest, and there are more.
        """
        jobs, has_more = await self.client.newest(state.project, state.created_at - _CLOCKS_APART_SECONDS)
        found = next((job for job in jobs if job_id_of(job) == state.id), None)
        if found is None and has_more:
            raise UnclearError(f"bigquery: the location of job {state.id} is not known, and it is not among the newest")
        return None if found is None else self._seen(found)

    def _seen(self, job: Mapping[str, object]) -> QueryView:
        """Read a job, and keep where it runs: the state that it is read by next may be from before that was known."""
        view = view_of(job)
        if view.location:
            self._locations[job_id_of(job)] = view.location
        return view

    def _location_of(self, state: BigQueryState) -> str:
        return state.location or self._locations.get(state.id, "")


class BigQueryExecutor(HttpExecutor[BigQueryState, QueryView]):
    """
    Runs tasks of the type ``bigquery_query_job_task`` as jobs of BigQuery.
    """

    plugin_type = BigQueryPlugin
