"""
From what Athena says of a query to the status of the attempt. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import TaskStatus
from airscrew.idl.errors import ErrorKind
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.athena.state import AthenaState, QueryView
from airscrew.plugins.webapi import UnclearError

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

RESULTS = "results"
"""The one output that flytekit's tasks declare."""

OVER = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})

_SYSTEM = 1
_CATEGORIES = frozenset({1, 2})


def view_of(execution: Mapping[str, object]) -> QueryView:
    """
    Read a ``QueryExecution``.

    Raises:
        UnclearError: It has no state.
    """
    status = _members(execution.get("Status"))
    state = status.get("State")
    if not isinstance(state, str) or not state:
        raise UnclearError(f"athena: a query is told of without a state: {sorted(execution)}")
    error = _members(status.get("AthenaError"))
    category, retryable = error.get("ErrorCategory"), error.get("Retryable")
    return QueryView(
        status=state,
        message=str(status.get("StateChangeReason") or error.get("ErrorMessage") or ""),
        location=str(_members(execution.get("ResultConfiguration")).get("OutputLocation") or ""),
        is_system=category == _SYSTEM if category in _CATEGORIES else None,
        is_retryable=retryable if isinstance(retryable, bool) else None,
    )


def decide(state: AthenaState, view: QueryView) -> TaskStatus[AthenaState]:
    """
    Say how the attempt stands.

    Args:
        state: What was known of the query last.
        view: What Athena said last; an empty one when it was not heard in this life.

    Raises:
        UnclearError: Athena uses a word that is not known.
    """
    if view.status:
        state = msgspec.structs.replace(state, status=view.status, message=view.message)
    told = state.message or f"query {state.id} is {state.status}"
    match state.status:
        case "":
            return TaskStatus.queued(state, f"query {state.id}")
        case "QUEUED":
            return TaskStatus.queued(state, told)
        case "RUNNING":
            return TaskStatus.running(state, told)
        case "SUCCEEDED":
            return TaskStatus.success(state, outputs_of(state, view))
        case "CANCELLED":
            return TaskStatus.retryable_failure(state, f"cancelled at Athena: {told}", code="Cancelled")
        case "FAILED":
            return _failed(state, view, told)
        case _:
            raise UnclearError(f"athena says {state.status!r} of query {state.id}, which is not known")


def results_type(template: TaskTemplate) -> dict[str, Any]:
    """
    Return the declared type of ``results`` as JSON; empty when the task declares no outputs.

    Raises:
        PermanentError: It declares another output, or of a type that no table is.
    """
    from google.protobuf.json_format import MessageToDict

    declared = template.interface.outputs
    if not declared:
        return {}
    if set(declared) != {RESULTS}:
        raise PermanentError(
            f"a query has one output, {RESULTS!r}, and the task declares {', '.join(sorted(declared))}",
            code="BadTaskSpecification",
        )
    kind = declared[RESULTS].type
    if kind.WhichOneof("type") not in {"schema", "structured_dataset_type"}:
        raise PermanentError(
            f"output {RESULTS!r} must be a schema or a structured dataset", code="BadTaskSpecification"
        )
    return MessageToDict(kind)


def outputs_of(state: AthenaState, view: QueryView) -> LiteralMap | None:
    """Make the outputs of a query that succeeded; None as long as it is not known where they lie, or without any."""
    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.core.types_pb2 import LiteralType
    from google.protobuf.json_format import ParseDict

    if not state.results:
        return LiteralMap()
    if not view.location:
        return None
    kind = ParseDict(state.results, LiteralType())
    outputs = LiteralMap()
    scalar = outputs.literals[RESULTS].scalar
    if kind.WhichOneof("type") == "schema":
        scalar.schema.uri = view.location
        scalar.schema.type.CopyFrom(kind.schema)
    else:
        scalar.structured_dataset.uri = view.location
        scalar.structured_dataset.metadata.structured_dataset_type.CopyFrom(kind.structured_dataset_type)
    return outputs


def _failed(state: AthenaState, view: QueryView, told: str) -> TaskStatus[AthenaState]:
    """What Athena says of a failure decides; where it says nothing, another attempt may do better, as in Flyte."""
    kind = ErrorKind.SYSTEM if view.is_system else ErrorKind.USER
    if view.is_retryable is False and view.is_system is False:
        return TaskStatus.permanent_failure(state, told, code="QueryFailed", kind=kind)
    return TaskStatus.retryable_failure(state, told, code="QueryFailed", kind=kind)


def _members(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}
