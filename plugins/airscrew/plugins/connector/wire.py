"""
The messages of a connector service in both generations: ``flyteidl.admin.agent`` and ``flyteidl2.connector``.

Pure: bytes out of plain values and back. The two are almost the same messages under other names; what differs is here
and nowhere else. An answer that does not parse, or makes no sense, is a ``WireError``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airscrew.idl.errors import ErrorKind
from airscrew.idl.literals import decode_literal_map, encode_literal_map
from airscrew.idl.phase import LogLink, Phase
from airscrew.idl.struct_fields import struct_to_json
from airscrew.idl.wire import WireError, WireForm, flyte2_module, parse_message
from airscrew.plugins.connector.answers import JobView, Served

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

Connection = Mapping[str, Mapping[str, str]]
"""``secrets`` and ``configs`` by name."""

PHASES = {
    1: Phase.QUEUED,
    2: Phase.RUNNING,
    3: Phase.SUCCESS,
    4: Phase.PERMANENT_FAILURE,  # ABORTED: by somebody else, for a kill of ours does not read the phase
    5: Phase.PERMANENT_FAILURE,
    6: Phase.INITIALIZING,
    7: Phase.WAITING_FOR_RESOURCES,
    8: Phase.RETRYABLE_FAILURE,
}
"""``core.TaskExecution.Phase``; 0 is UNDEFINED, which is no answer."""

ABORTED = 4

OLD_STATES = {1: Phase.PERMANENT_FAILURE, 2: Phase.QUEUED, 3: Phase.RUNNING, 4: Phase.SUCCESS}
"""``admin.State``, which agents used before there were phases; its 0 cannot be told from nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    What is said of an attempt along with a job that is made.

    Attributes:
        template: The serialized template, its variables rendered, in the service's wire form.
        inputs: The inputs.
        output_prefix: Where the job may write.
        metadata: Names and values of ``TaskExecutionMetadata``, nested as the message is.
        connection: ``secrets`` and ``configs`` of Flyte 2.
    """

    template: bytes
    inputs: LiteralMap
    output_prefix: str
    metadata: Mapping[str, object]
    connection: Connection


class Wire:
    """
    One generation of the messages.

    Args:
        form: Which one.

    Raises:
        UsageError: Flyte 2's messages are not installed.
    """

    def __init__(self, form: WireForm) -> None:
        self.form = form
        self._is_old = form is WireForm.FLYTE1
        self._messages: Any = (
            import_module("flyteidl.admin.agent_pb2") if self._is_old else flyte2_module("connector.connector_pb2")
        )
        service = "flyteidl.service.AsyncAgentService" if self._is_old else "flyteidl2.connector.AsyncConnectorService"
        self.create_method = f"/{service}/CreateTask"
        self.get_method = f"/{service}/GetTask"
        self.delete_method = f"/{service}/DeleteTask"
        self.logs_method = f"/{service}/GetTaskLogs"
        self.metrics_method = f"/{service}/GetTaskMetrics"
        self.execute_method = "/flyteidl.service.SyncAgentService/ExecuteTaskSync" if self._is_old else ""
        self.list_method = (
            "/flyteidl.service.AgentMetadataService/ListAgents"
            if self._is_old
            else "/flyteidl2.connector.ConnectorMetadataService/ListConnectors"
        )

    def list_request(self) -> bytes:
        """Ask what is served."""
        return b""

    def read_list(self, data: bytes) -> tuple[Served, ...]:
        """Read what is served, sorted, each once; of a type that is served both ways, the job before the call."""
        kind = self._messages.ListAgentsResponse if self._is_old else self._messages.ListConnectorsResponse
        reply: Any = parse_message(kind, data, "the list of connectors")
        found: set[Served] = set()
        for one in reply.agents if self._is_old else reply.connectors:
            is_sync = bool(one.is_sync) if self._is_old else False
            found.update(Served(each.name, int(each.version), is_sync) for each in one.supported_task_categories)
            if self._is_old and not one.supported_task_categories:  # agents of before there were versions
                found.update(Served(name, 0, is_sync) for name in one.supported_task_types)
        return tuple(sorted(found, key=lambda served: (served.task_type, served.version, served.is_sync)))

    def create_request(self, call: Call) -> bytes:
        """Ask for a job."""
        return bytes(self._called(self._messages.CreateTaskRequest(), call).SerializeToString())

    def read_create(self, data: bytes) -> bytes:
        """Read the metadata of the job that was made."""
        reply: Any = parse_message(self._messages.CreateTaskResponse, data, "the answer")
        if not reply.resource_meta:
            raise WireError("the answer holds no metadata of a job")
        return bytes(reply.resource_meta)

    def execute_requests(self, call: Call) -> tuple[bytes, bytes]:
        """Ask a sync connector to do a task: the header, then the inputs."""
        header = self._messages.ExecuteTaskSyncRequest()
        self._described(header.header, call)
        inputs = self._messages.ExecuteTaskSyncRequest(inputs=call.inputs)
        return bytes(header.SerializeToString()), bytes(inputs.SerializeToString())

    def read_execute(self, answers: Sequence[bytes]) -> JobView:
        """Read what a sync connector answered: one header with the result, perhaps outputs apart from it."""
        resource, outputs = None, None
        for data in answers:
            reply: Any = parse_message(self._messages.ExecuteTaskSyncResponse, data, "the answer")
            if reply.HasField("header"):
                resource = reply.header.resource if reply.header.HasField("resource") else None
            elif reply.HasField("outputs"):
                outputs = reply.outputs
        if resource is None:
            raise WireError("the answer is empty")
        if outputs is not None and not resource.HasField("outputs"):
            resource.outputs.CopyFrom(outputs)
        return self._view(resource)

    def get_request(self, served: Served, meta: bytes, output_prefix: str, connection: Connection) -> bytes:
        """Ask how a job stands."""
        return self._about(self._messages.GetTaskRequest(output_prefix=output_prefix), served, meta, connection)

    def read_get(self, data: bytes) -> JobView:
        """Read how a job stands."""
        reply: Any = parse_message(self._messages.GetTaskResponse, data, "the answer")
        if not reply.HasField("resource"):
            raise WireError("the answer is empty")
        return self._view(reply.resource)

    def delete_request(self, served: Served, meta: bytes, connection: Connection) -> bytes:
        """Ask for a job to be deleted."""
        return self._about(self._messages.DeleteTaskRequest(), served, meta, connection)

    def logs_request(self, served: Served, meta: bytes, token: str) -> bytes:
        """Ask for a job's log, from a token on."""
        return self._about(self._messages.GetTaskLogsRequest(token=token), served, meta, {})

    def read_logs(self, data: bytes) -> list[str]:
        """Read lines of a log."""
        body: Any = parse_message(self._messages.GetTaskLogsResponse, data, "the log").body
        lines = body.structured_lines if self._is_old else body.lines
        return [*(str(line) for line in body.results), *(str(line.message) for line in lines)]

    def metrics_request(self, served: Served, meta: bytes, since: float, until: float) -> bytes:
        """Ask what a job measured between two times, Unix seconds."""
        request: Any = self._messages.GetTaskMetricsRequest()
        request.start_time.FromNanoseconds(int(since * 1e9))
        request.end_time.FromNanoseconds(int(until * 1e9))
        return self._about(request, served, meta, {})

    def read_metrics(self, data: bytes) -> list[Mapping[str, object]]:
        """Read what a job measured: by ``metric`` its name, by ``data`` the series in Prometheus' form."""
        answer: Any = parse_message(self._messages.GetTaskMetricsResponse, data, "the metrics")
        return [{"metric": str(one.metric), "data": struct_to_json(one.data)} for one in answer.results]

    def _about(self, request: Any, served: Served, meta: bytes, connection: Connection) -> bytes:  # noqa: ANN401 - generated code
        request.resource_meta = meta
        request.task_category.name = served.task_type
        request.task_category.version = served.version
        if hasattr(request, "task_type"):
            request.task_type = served.task_type
        self._connect(request, connection)
        return bytes(request.SerializeToString())

    def _called(self, request: Any, call: Call) -> Any:  # noqa: ANN401 - generated code
        if self._is_old:
            request.inputs.CopyFrom(call.inputs)
        else:
            request.inputs.MergeFromString(encode_literal_map(call.inputs.literals, self.form))
        return self._described(request, call)

    def _described(self, request: Any, call: Call) -> Any:  # noqa: ANN401 - generated code
        from google.protobuf import json_format

        request.template.MergeFromString(call.template)
        request.output_prefix = call.output_prefix
        json_format.ParseDict(dict(call.metadata), request.task_execution_metadata)
        self._connect(request, call.connection)
        return request

    def _connect(self, request: Any, connection: Connection) -> None:  # noqa: ANN401 - generated code
        """Add secrets and settings, which Flyte 2 has room for."""
        if self._is_old:
            return
        for part in ("secrets", "configs"):
            if connection.get(part):
                getattr(request.connection, part).update(connection[part])

    def _view(self, resource: Any) -> JobView:  # noqa: ANN401 - generated code
        number = int(resource.phase)
        phase = PHASES.get(number)
        if phase is None and self._is_old and number == 0:
            phase = OLD_STATES.get(int(resource.state))
        if phase is None:
            raise WireError(f"the job is in phase {number}, which is none")
        code, kind, is_recoverable = self._error(resource)
        if phase is Phase.PERMANENT_FAILURE and is_recoverable:
            phase = Phase.RETRYABLE_FAILURE
        return JobView(
            phase=phase,
            message=str(resource.message),
            logs=tuple(LogLink(name=str(log.name) or "Log", uri=str(log.uri)) for log in resource.log_links if log.uri),
            outputs=self._outputs(resource),
            custom_info=struct_to_json(resource.custom_info) if resource.HasField("custom_info") else {},
            error_code=code or ("Aborted" if number == ABORTED else ""),
            error_kind=kind,
        )

    def _error(self, resource: Any) -> tuple[str, ErrorKind, bool]:  # noqa: ANN401 - generated code
        if not self._is_old or not resource.HasField("agent_error"):
            return "", ErrorKind.USER, False
        error = resource.agent_error
        kind = ErrorKind.SYSTEM if error.origin == _SYSTEM else ErrorKind.USER
        return str(error.code), kind, bool(error.kind == self._messages.AgentError.RECOVERABLE)

    def _outputs(self, resource: Any) -> LiteralMap | None:  # noqa: ANN401 - generated code
        from flyteidl.core.literals_pb2 import LiteralMap

        if not resource.HasField("outputs"):
            return None
        return LiteralMap(literals=decode_literal_map(resource.outputs.SerializeToString(), self.form))


_SYSTEM = 2  # core.ExecutionError.ErrorKind
