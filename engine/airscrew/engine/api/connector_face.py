"""
The engine as a connector service: what a FlytePropeller or a Flyte 2 asks its connectors, asked of an ``EngineApi``.

Guarantees: a create that is repeated for the same task execution and attempt is one execution, a sync one too; whoever
asks sees a failure only when the engine will not try again; outputs lie at the prefix that the caller gave before a
success is told; nothing is offered that was not named. It speaks ``flyteidl`` and,
where that is installed, ``flyteidl2``; neither is imported before it is asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from google.protobuf import json_format

from airscrew.engine.api.model import ApiError, ExecutionView, SubmitRequest
from airscrew.engine.api.port import EngineApi
from airscrew.idl.errors import AirscrewError, ErrorKind
from airscrew.idl.ids import ExecutionId
from airscrew.idl.phase import Phase
from airscrew.idl.wire import WireForm, flyte2_module

KEY_LABEL = "airscrew.dev/key"
"""Another airscrew that asks carries the key of its attempt in this label."""

_PHASES = {
    Phase.WAITING_FOR_RESOURCES: 7,
    Phase.INITIALIZING: 6,
    Phase.RUNNING: 2,
    Phase.SUCCESS: 3,
    Phase.ABORTED: 4,
    Phase.PERMANENT_FAILURE: 5,
    Phase.RETRYABLE_FAILURE: 5,
}
"""``core.TaskExecution.Phase``; what is not here is queued. Retries are the engine's: its failures are final."""

_QUEUED, _RUNNING = 1, 2
_ORIGINS = {ErrorKind.USER: 1, ErrorKind.SYSTEM: 2}


INLINE_BYTES = 1024 * 1024
"""Outputs that lie at the caller's prefix are in the answer too up to this: gRPC clients take 4 MiB by default."""

Write = Callable[[str, bytes], Awaitable[None]]
"""Writes a file at a URI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """
    What is offered as a connector service.

    Attributes:
        types: Task types, ``type`` or ``type/version``: a job that is asked for again and again.
        sync_types: Those of which a call waits for the end.
        write: Writes outputs to the caller's prefix; None to have them in the answer alone.
    """

    types: tuple[str, ...] = ()
    sync_types: tuple[str, ...] = ()
    write: Write | None = None

    @property
    def is_any(self) -> bool:
        """Whether anything is offered."""
        return bool(self.types or self.sync_types)


NOTHING_OFFERED = Offer()


class ConnectorFace:
    """
    Answers one generation of the connector services.

    Args:
        api: The engine.
        form: The generation of its messages.
        offer: What is offered.
    """

    def __init__(self, api: EngineApi, form: WireForm, offer: Offer) -> None:
        self._api = api
        self._form = form
        self._offered, self._sync = _versions(offer.types), _versions(offer.sync_types)
        self._write = offer.write
        self.messages = _messages(form)

    async def list_agents(self, _: Any) -> Any:  # noqa: ANN401 - generated code
        """Answer ``ListAgents`` and ``ListConnectors``."""
        if self._form is WireForm.FLYTE1:
            reply = self.messages.ListAgentsResponse()
            one = reply.agents.add(name="airscrew", supported_task_types=[name for name, _ in self._offered])
            if self._sync:
                sync = reply.agents.add(name="airscrew sync", is_sync=True)
                for name, version in self._sync:
                    sync.supported_task_categories.add(name=name, version=version)
        else:
            reply = self.messages.ListConnectorsResponse()
            one = reply.connectors.add(name="airscrew")
        for name, version in self._offered:
            one.supported_task_categories.add(name=name, version=version)
        return reply

    async def create(self, request: Any) -> Any:  # noqa: ANN401 - generated code
        """Answer ``CreateTask``: an execution, named after the task execution that it is for."""
        execution = await self._submit(request, request.inputs.SerializeToString(deterministic=True), self._offered)
        return self.messages.CreateTaskResponse(resource_meta=execution.encode())

    async def _submit(self, request: Any, inputs: bytes, offered: Sequence[tuple[str, int]]) -> str:  # noqa: ANN401 - generated code
        wanted = (str(request.template.type), int(request.template.task_type_version))
        if wanted not in offered:
            served = ", ".join(f"{name}/{version}" for name, version in offered) or "none"
            raise ApiError("not_found", f"task type {wanted[0]}/{wanted[1]} is not offered here; offered are {served}")
        metadata = request.task_execution_metadata
        submitted = SubmitRequest(
            namespace=metadata.namespace or "default",
            name=_name(metadata),
            template=request.template.SerializeToString(deterministic=True),
            wire=self._form.value,
            inputs=inputs,
            environment=dict(metadata.environment_variables),
            service_account=metadata.k8s_service_account,
        )
        return (await self._api.submit(submitted)).execution

    async def get(self, request: Any) -> Any:  # noqa: ANN401 - generated code
        """Answer ``GetTask``."""
        view = await self._api.get(_execution(request))
        return self.messages.GetTaskResponse(resource=await self._resource(view, str(request.output_prefix)))

    async def execute(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Answer ``ExecuteTaskSync``: the first message tells of the task, those after it bring inputs, in parts."""
        header: Any = None
        inputs = self._literal_map()
        async for request in requests:
            if header is None:
                header = request.header
            inputs.MergeFrom(request.inputs)
        if header is None or not header.template.type:
            raise ApiError("invalid", "the first message has no header with a task template")
        execution = await self._submit(header, inputs.SerializeToString(deterministic=True), self._sync)
        is_over = False
        try:
            async for view in self._api.watch(execution):
                if view.ended_at:
                    resource = await self._resource(view, str(header.output_prefix))
                    is_over = True
                    told = self.messages.ExecuteTaskSyncResponseHeader(resource=resource)
                    yield self.messages.ExecuteTaskSyncResponse(header=told)
                    return
        finally:
            if not is_over and not _name(header.task_execution_metadata):
                await self._api.kill(execution, "whoever asked is gone, and has no name to ask for it again")

    async def _resource(self, view: ExecutionView, output_prefix: str) -> Any:  # noqa: ANN401 - generated code
        resource = self.messages.Resource(phase=_phase(view), message=_message(view))
        for link in view.info.logs:
            resource.log_links.add(name=link.name, uri=link.uri)
        if view.phase is Phase.SUCCESS:
            outputs = (await self._api.outputs(view.execution)).outputs
            is_written = await self._place(output_prefix, outputs)
            if not is_written or len(outputs) <= INLINE_BYTES:
                resource.outputs.SetInParent()
                resource.outputs.MergeFromString(outputs)
        elif view.error is not None and self._form is WireForm.FLYTE1:
            resource.agent_error.code = view.error.code
            resource.agent_error.origin = _ORIGINS.get(view.error.kind, 0)
        return resource

    async def _place(self, output_prefix: str, outputs: bytes) -> bool:
        """
        Write outputs to the prefix that the caller gave; idempotent. False when none is to be written.

        Raises:
            ApiError: It cannot be written, and is too large for the answer.
        """
        if not output_prefix or not outputs or self._write is None:
            return False
        try:
            await self._write(f"{output_prefix.rstrip('/')}/outputs.pb", outputs)
        except (AirscrewError, OSError) as error:
            if len(outputs) > INLINE_BYTES:
                raise ApiError("unavailable", f"outputs cannot be written to {output_prefix}: {error}") from error
            return False
        return True

    async def delete(self, request: Any) -> Any:  # noqa: ANN401 - generated code
        """Answer ``DeleteTask``; what is over or unknown needs nothing."""
        with suppress(ApiError):
            if (await self._api.get(_execution(request))).ended_at:
                return self.messages.DeleteTaskResponse()
        try:
            await self._api.kill(_execution(request), "deleted by whoever asked for it")
        except ApiError as error:
            if error.code != "not_found":
                raise
        return self.messages.DeleteTaskResponse()

    async def logs(self, request: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - generated code
        """Answer ``GetTaskLogs``."""
        async for chunk in self._api.logs(_execution(request)):
            body = self.messages.GetTaskLogsResponseBody(results=chunk.data.decode("utf-8", "replace").splitlines())
            yield self.messages.GetTaskLogsResponse(body=body)

    async def metrics(self, request: Any) -> Any:  # noqa: ANN401 - generated code
        """Answer ``GetTaskMetrics``: what the job of an execution measured."""
        told = b"".join([chunk.data async for chunk in self._api.logs(_execution(request), metrics=True)])
        reply = self.messages.GetTaskMetricsResponse()
        for line in told.splitlines():
            json_format.ParseDict(json.loads(line), reply.results.add())
        return reply

    def calls(self) -> dict[str, tuple[Any, Callable[[Any], Any]]]:
        """Return request type and answer of each call that has one answer, by the path of the call."""
        asynchronous, listing, list_call = SERVICES[self._form]
        return {
            f"/{asynchronous}/CreateTask": (self.messages.CreateTaskRequest, self.create),
            f"/{asynchronous}/GetTask": (self.messages.GetTaskRequest, self.get),
            f"/{asynchronous}/DeleteTask": (self.messages.DeleteTaskRequest, self.delete),
            f"/{asynchronous}/GetTaskMetrics": (self.messages.GetTaskMetricsRequest, self.metrics),
            f"/{listing}/{list_call}": (getattr(self.messages, f"{list_call}Request"), self.list_agents),
        }

    def streams(self) -> dict[str, tuple[Any, Callable[[Any], AsyncIterator[Any]]]]:
        """Return the same of each call that has many."""
        return {f"/{SERVICES[self._form][0]}/GetTaskLogs": (self.messages.GetTaskLogsRequest, self.logs)}

    def exchanges(self) -> dict[str, tuple[Any, Callable[[AsyncIterator[Any]], AsyncIterator[Any]]]]:
        """Return the same of each call that has many of both; Flyte 2 has none."""
        if self._form is not WireForm.FLYTE1:
            return {}
        return {f"/{SYNC_SERVICE}/ExecuteTaskSync": (self.messages.ExecuteTaskSyncRequest, self.execute)}

    def _literal_map(self) -> Any:  # noqa: ANN401 - generated code
        return self.messages.ExecuteTaskSyncRequest().inputs


SYNC_SERVICE = "flyteidl.service.SyncAgentService"

SERVICES = {
    WireForm.FLYTE1: ("flyteidl.service.AsyncAgentService", "flyteidl.service.AgentMetadataService", "ListAgents"),
    WireForm.FLYTE2: (
        "flyteidl2.connector.AsyncConnectorService",
        "flyteidl2.connector.ConnectorMetadataService",
        "ListConnectors",
    ),
}
"""The services of each generation, and the call that lists what is served."""


def form_of(path: str) -> WireForm | None:
    """Tell of which generation a call's path is; None when it is of no connector service."""
    service = path.strip("/").rpartition("/")[0]
    if service == SYNC_SERVICE:
        return WireForm.FLYTE1
    return next((form for form, (one, other, _) in SERVICES.items() if service in {one, other}), None)


@cache
def _messages(form: WireForm) -> Any:  # noqa: ANN401 - generated code
    if form is WireForm.FLYTE1:
        return import_module("flyteidl.admin.agent_pb2")
    return flyte2_module("connector.connector_pb2")


def _versions(offered: Sequence[str]) -> list[tuple[str, int]]:
    parted = (text.partition("/") for text in offered)
    return [(name, int(version or 0)) for name, _, version in parted]


def _name(metadata: Any) -> str:  # noqa: ANN401 - generated code
    """Name an execution after the attempt of a task that it is for; empty, for any name, when nobody says."""
    told = metadata.task_execution_id
    identity = str(metadata.labels.get(KEY_LABEL, ""))
    if not identity and told.node_execution_id.execution_id.name:
        identity = told.SerializeToString(deterministic=True).hex()
    return f"c{hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()}" if identity else ""


def _execution(request: Any) -> str:  # noqa: ANN401 - generated code
    return str(ExecutionId.parse(request.resource_meta.decode("utf-8", "replace")))


def _phase(view: ExecutionView) -> int:
    if view.phase.is_failure and not view.ended_at:
        return _RUNNING  # it tries again by itself
    return _PHASES.get(view.phase, _QUEUED)


def _message(view: ExecutionView) -> str:
    return view.error.message if view.error is not None and view.ended_at else view.reason
