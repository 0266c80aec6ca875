"""
The executor of ``aws-batch``: single requests to Batch, over the WebAPI framework.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast
from urllib.parse import quote

from typing_extensions import override

from airscrew.engine.executor import Findable, TaskContext, TaskStatus
from airscrew.idl.phase import LogLink
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.aws import AwsClient, secrets_of
from airscrew.plugins.aws_batch.config import BATCH_SIZE, BatchConfig, batch_problems
from airscrew.plugins.aws_batch.decide import OVER, decide, view_of
from airscrew.plugins.aws_batch.request import (
    Definition,
    container_of,
    custom_of,
    definition_of,
    overrides_of,
    queue_of,
    resources_of,
)
from airscrew.plugins.aws_batch.state import BatchState, BatchView
from airscrew.plugins.http_provider import HttpExecutor, HttpPlugin, OpenTransport, limits_of
from airscrew.plugins.settings import read_settings
from airscrew.plugins.webapi import (
    Created,
    Listed,
    Opening,
    Prepared,
    UnclearError,
)
from airscrew.plugins.webapi.note import read_note

Context = TaskContext[BatchState]


@dataclass(frozen=True, slots=True)
class Submission:
    """What ``create`` sends: the definition is registered first when it is not there."""

    definition: Definition
    job: Mapping[str, object] = field(default_factory=dict[str, object])


class AwsBatchPlugin(HttpPlugin[BatchState, BatchView]):
    """
    Jobs of Batch.

    Args:
        open_transport: Opens what sends requests.
    """

    id = "aws-batch"
    task_types = ("aws-batch",)
    state_type = BatchState
    start_declaration = Findable(BatchConfig().settle)

    def __init__(self, open_transport: OpenTransport) -> None:
        super().__init__(open_transport)
        self.config = BatchConfig()
        self.client: AwsClient
        self._registered: set[str] = set()

    @override
    def configure(self, config: Mapping[str, object]) -> None:
        self.config = read_settings(self.id, config, BatchConfig, batch_problems)
        self.secrets = secrets_of(self.config.credentials)
        self.start_declaration = Findable(self.config.settle)
        self.limits = replace(
            limits_of(self.config),
            batch_size=BATCH_SIZE,
            settle_seconds=self.config.settle,
            size=self.config.cache_size,
        )

    @override
    async def open(self, opening: Opening[BatchView]) -> None:
        transport = self.opened_transport(opening)
        self.client = AwsClient(
            executor=self.id, service="batch", config=self.config, vault=opening.vault, transport=transport
        )
        await self.client.open(opening.stack)

    @override
    async def prepare(self, context: Context, template: TaskTemplate) -> Prepared[BatchState]:
        container, queue = container_of(template), queue_of(template, self.config)
        image = str(context.overrides.get("image") or container.image)
        definition = definition_of(template, self.config, image)
        await context.place_inputs()
        command = await context.render([*container.command, *container.args])
        environment = {**context.environment, **container.env}
        platform = str(template.config.get("platformCapabilities") or "EC2")
        resources = resources_of(container, context.overrides)
        job = {
            "retryStrategy": {"attempts": 1},  # attempts are the engine's
            **custom_of(template),
            "jobName": context.key,
            "jobQueue": queue,
            "jobDefinition": definition.name,
            "containerOverrides": overrides_of(command, environment, resources, self.config, platform),
        }
        state = BatchState(
            id="",
            created_at=0.0,
            queue=queue,
            outputs=_outputs_prefix(context, command),
            may_write_nothing=not template.interface.outputs,
        )
        return Prepared(state, Submission(definition, job))

    @override
    async def create(self, context: Context, prepared: Prepared[BatchState]) -> Created[BatchView]:
        submission = cast("Submission", prepared.body)
        await self._define(submission.definition)
        answer = await self.client.call("submit_job", **submission.job)
        job_id = answer.get("jobId")
        if not isinstance(job_id, str) or not job_id:
            raise UnclearError(f"aws-batch: a job was submitted and has no id: {sorted(answer)}")
        return Created(job_id)

    @override
    async def get_many(self, states: Sequence[BatchState]) -> Mapping[str, BatchView]:
        answer = await self.client.call("describe_jobs", jobs=[state.id for state in states])
        return {str(job.get("jobId")): view_of(job) for job in _objects(answer, "jobs")}

    @override
    async def delete(self, state: BatchState) -> BatchView | None:
        await self.client.call("terminate_job", jobId=state.id, reason="killed by airscrew")
        return BatchView()

    @override
    async def find(self, context: Context) -> Sequence[Listed]:
        note: BatchState | None = await read_note(context, self.id, self.state_type)
        queue = note.queue if note is not None else self.config.job_queue
        if not queue:
            return ()
        found: list[Listed] = []
        page: dict[str, object] = {}
        while True:
            named = [{"name": "JOB_NAME", "values": [str(context.key)]}]
            answer = await self.client.call("list_jobs", jobQueue=queue, filters=named, **page)
            found.extend(_listed(_objects(answer, "jobSummaryList"), context.key))
            following = answer.get("nextToken")
            if not following:
                return found
            page = {"nextToken": following}

    @override
    def is_over(self, view: BatchView) -> bool:
        return view.status in OVER

    @override
    def status(self, state: BatchState, view: BatchView | None) -> TaskStatus[BatchState]:
        return decide(state, view or BatchView())

    @override
    def links(self, state: BatchState, view: BatchView | None) -> Sequence[LogLink]:
        region = self.client.region
        console = f"https://{region}.console.aws.amazon.com"
        links = [LogLink(name="AWS Batch", uri=f"{console}/batch/home?region={region}#jobs/detail/{state.id}")]
        stream = (view.log_stream if view is not None else "") or state.log_stream
        if stream:
            place = f"log-groups/log-group/$252Faws$252Fbatch$252Fjob/log-events/{quote(stream, safe='')}"
            links.append(LogLink(name="CloudWatch", uri=f"{console}/cloudwatch/home?region={region}#logsV2:{place}"))
        return links

    async def _define(self, definition: Definition) -> None:
        """
        See to it that a definition is there.

        It is no job: one that is registered for nothing, or twice, costs nothing.
        """
        if not definition.properties or definition.name in self._registered:
            return
        answer = await self.client.call(
            "describe_job_definitions", jobDefinitionName=definition.name, status="ACTIVE", maxResults=1
        )
        if not list(_objects(answer, "jobDefinitions")):
            await self.client.call(
                "register_job_definition", jobDefinitionName=definition.name, **definition.properties
            )
        self._registered.add(definition.name)


class AwsBatchExecutor(HttpExecutor[BatchState, BatchView]):
    """
    Runs tasks of the type ``aws-batch`` as jobs of AWS Batch.
    """

    plugin_type = AwsBatchPlugin


def _outputs_prefix(context: Context, command: Sequence[str]) -> str:
    """Where the command was told to write: flytekit adds ``/0``, for Flyte's plugin runs one job as an array of one."""
    inside = f"{context.locations.output_prefix}/0"
    return inside if inside in command else context.locations.output_prefix


def _listed(jobs: Iterator[Mapping[str, object]], key: str) -> Iterator[Listed]:
    """Take those whose name is the key; Batch's filter does not look at case."""
    for job in jobs:
        created = job.get("createdAt")
        if job.get("jobName") == key:
            yield Listed(str(job.get("jobId")), created / 1000 if isinstance(created, int | float) else 0.0)


def _objects(answer: Mapping[str, object], name: str) -> Iterator[Mapping[str, object]]:
    told = answer.get(name)
    if not isinstance(told, list):
        raise UnclearError(f"aws-batch: an answer without {name}: {sorted(answer)}")
    for one in cast("list[object]", told):
        if not isinstance(one, Mapping):
            raise UnclearError(f"aws-batch: {name} holds a {type(one).__name__}")
        yield cast("Mapping[str, object]", one)
