"""
From what Trino says of a query to the status of the attempt. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from airscrew.engine.executor import TaskStatus
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import TaskInfo
from airscrew.plugins.trino.state import QueryState, QueryView, Stage
from airscrew.plugins.trino.statement import RESULTS

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

ABANDONED = "ABANDONED_QUERY"

SYSTEM_TYPES = frozenset({"INTERNAL_ERROR", "EXTERNAL"})
"""Types of errors that the statement is not to blame for."""

CROWDED = frozenset({"CLUSTER_OUT_OF_MEMORY", "NO_NODES_AVAILABLE", "QUERY_QUEUE_FULL"})
"""Resources that the cluster lacks; those that one query used up (INSUFFICIENT_RESOURCES otherwise) are the user's."""

PASSING = frozenset({"TRANSACTION_CONFLICT", "USER_CANCELED"})
"""Names of errors of the user's that another attempt may not meet."""

_WAITING = frozenset({"", "QUEUED", "WAITING_FOR_RESOURCES", "DISPATCHING"})
_PREPARING = frozenset({"PLANNING", "STARTING"})


def decide(state: QueryState, view: QueryView | None) -> TaskStatus[QueryState]:
    """
    Say how the attempt stands.

    Args:
        state: What was known of the query last.
        view: What Trino said last; None when it was not heard in this life.
    """
    state = _remembered(state, view)
    told = f"query {state.id} is {state.status or Stage.REGISTERED}"
    if state.error:
        return _failed(state)
    match state.stage:
        case Stage.DONE:
            status = TaskStatus.success(state, outputs_of(state))
        case Stage.WRITTEN | Stage.DROP:
            status = TaskStatus.running(state, f"query {state.id} is done; the name of its table is dropped")
        case Stage.REGISTERED | Stage.QUERY if state.status in _WAITING:
            status = TaskStatus.queued(state, told)
        case Stage.REGISTERED | Stage.QUERY if state.status in _PREPARING:
            status = TaskStatus.initializing(state, told)
        case Stage.REGISTERED | Stage.QUERY:
            status = TaskStatus.running(state, told)
    return status.with_info(TaskInfo(progress=state.progress))


def outputs_of(state: QueryState) -> LiteralMap:
    """Make the outputs of a query that succeeded: where its results were written."""
    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.core.types_pb2 import LiteralType
    from google.protobuf.json_format import ParseDict

    outputs = LiteralMap()
    if not state.results:
        return outputs
    kind = ParseDict(state.results, LiteralType())
    scalar = outputs.literals[RESULTS].scalar
    if kind.WhichOneof("type") == "schema":
        scalar.schema.uri = state.location
        scalar.schema.type.CopyFrom(kind.schema)
    else:
        scalar.structured_dataset.uri = state.location
        scalar.structured_dataset.metadata.structured_dataset_type.CopyFrom(kind.structured_dataset_type)
    return outputs


def _remembered(state: QueryState, view: QueryView | None) -> QueryState:
    if view is None or (view.stage is Stage.REGISTERED and not view.next):
        return state
    is_of_the_query = state.stage in {Stage.REGISTERED, Stage.QUERY}
    return msgspec.structs.replace(
        state,
        next=view.next,
        stage=view.stage,
        status=view.status if is_of_the_query else state.status,
        progress=view.progress if is_of_the_query else state.progress,
        page=view.page if view.page and is_of_the_query else state.page,
        error=view.error if is_of_the_query else "",  # a name that is left over fails nothing
        error_type=view.error_type if is_of_the_query else "",
        message=view.message if is_of_the_query else "",
    )


def _failed(state: QueryState) -> TaskStatus[QueryState]:
    name, told = state.error, f"{state.error}: {state.message}"
    if name == ABANDONED:
        told = (
            f"Trino gave query {state.id} up: nobody fetched its next page for longer than its query.client.timeout"
            f" ({state.message})"
        )
        return TaskStatus.retryable_failure(state, told, code=name, kind=ErrorKind.SYSTEM)
    if state.error_type in SYSTEM_TYPES or name in CROWDED:
        return TaskStatus.retryable_failure(state, told, code=name, kind=ErrorKind.SYSTEM)
    if state.error_type == "USER_ERROR" and name not in PASSING:
        return TaskStatus.permanent_failure(state, told, code=name)
    return TaskStatus.retryable_failure(state, told, code=name)
