"""
From what BigQuery says of a query to the status of the attempt. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import TaskStatus
from airscrew.idl.errors import ErrorKind
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.bigquery.state import BigQueryState, QueryView
from airscrew.plugins.webapi import UnclearError

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

RESULTS = "results"
"""The one output that flytekit's task declares."""

DONE = "DONE"

GOOGLE_S = frozenset({"backendError", "internalError", "jobBackendError", "jobInternalError", "tableUnavailable"})
"""Words for failures of BigQuery's own: another attempt may do better, and the user does not pay."""

PASSING = frozenset({"blocked", "jobRateLimitExceeded", "quotaExceeded", "rateLimitExceeded", "stopped"})
"""Words for failures of the user's that pass."""


def view_of(job: Mapping[str, object]) -> QueryView:
    """
    Read a ``Job``.

    Raises:
        UnclearError: It has no state.
    """
    status, reference = _members(job.get("status")), _members(job.get("jobReference"))
    state = status.get("state")
    if not isinstance(state, str) or not state:
        raise UnclearError(f"bigquery: a job is told of without a state: {sorted(job)}")
    error = _members(status.get("errorResult"))
    table = _members(_members(_members(job.get("configuration")).get("query")).get("destinationTable"))
    return QueryView(
        status=state,
        location=str(reference.get("location") or ""),
        reason=str(error.get("reason") or ("unknown" if error else "")),
        message=str(error.get("message") or ""),
        table=f"{table.get('projectId')}:{table.get('datasetId')}.{table.get('tableId')}" if table else "",
    )


def job_id_of(job: Mapping[str, object]) -> str:
    """Return a job's id; empty when it has none."""
    return str(_members(job.get("jobReference")).get("jobId") or "")


def decide(state: BigQueryState, view: QueryView) -> TaskStatus[BigQueryState]:
    """
    Say how the attempt stands.

    Args:
        state: What was known of the query last.
        view: What BigQuery said last; an empty one when it was not heard in this life.

    Raises:
        UnclearError: BigQuery uses a word that is not known.
    """
    state = _remembered(state, view)
    told = state.message or f"job {state.id} is {state.status}"
    match state.status:
        case "":
            return TaskStatus.queued(state, f"job {state.id}")
        case "PENDING":
            return TaskStatus.queued(state, told)
        case "RUNNING":
            return TaskStatus.running(state, told)
        case "DONE" if not state.reason:
            return TaskStatus.success(state, outputs_of(state))
        case "DONE":
            return _failed(state, told)
        case _:
            raise UnclearError(f"bigquery says {state.status!r} of job {state.id}, which is not known")


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
    if set(declared) != {RESULTS} or declared[RESULTS].type.WhichOneof("type") != "structured_dataset_type":
        raise PermanentError(
            f"a query has one output, {RESULTS!r}, a structured dataset; the task declares {', '.join(declared)}",
            code="BadTaskSpecification",
        )
    return MessageToDict(declared[RESULTS].type)


def outputs_of(state: BigQueryState) -> LiteralMap:
    """Make the outputs of a query that succeeded: the table that its results went to."""
    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.core.types_pb2 import LiteralType
    from google.protobuf.json_format import ParseDict

    outputs = LiteralMap()
    if state.results and state.table:
        kind = ParseDict(state.results, LiteralType())
        dataset = outputs.literals[RESULTS].scalar.structured_dataset
        dataset.uri = f"bq://{state.table}"
        dataset.metadata.structured_dataset_type.CopyFrom(kind.structured_dataset_type)
    return outputs


def _remembered(state: BigQueryState, view: QueryView) -> BigQueryState:
    if not view.status:
        return state
    return msgspec.structs.replace(
        state,
        status=view.status,
        location=view.location or state.location,
        reason=view.reason,
        message=view.message,
        table=view.table or state.table,
    )


def _failed(state: BigQueryState, told: str) -> TaskStatus[BigQueryState]:
    if state.reason in GOOGLE_S:
        return TaskStatus.retryable_failure(state, told, code=state.reason, kind=ErrorKind.SYSTEM)
    if state.reason in PASSING:
        return TaskStatus.retryable_failure(state, told, code=state.reason)
    return TaskStatus.permanent_failure(state, told, code=state.reason)


def _members(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}
