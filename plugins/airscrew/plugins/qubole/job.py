"""
From a task to the command that is asked for: the message's queries with their variables filled in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import TaskContext
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.qubole.quoting import fill, variables
from airscrew.plugins.qubole.state import HiveState, Query

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.plugins.qubole_pb2 import HiveQuery, QuboleHiveJob

Context = TaskContext[HiveState]

STATE_LIMIT = 48 * 1024
"""The custom state, which holds the queries, may be so large: a command whose state could not be kept is not made."""

RESULTS = "results"
TAG_LIMIT = 255


async def make_state(context: Context, template: TaskTemplate, job: QuboleHiveJob, cluster: str) -> HiveState:
    """
    Copy what is needed of a task into the state.

    Args:
        context: The attempt.
        template: The task.
        job: Its message.
        cluster: Where it runs when it does not say.

    Raises:
        PermanentError: It can never run; names the field.
    """
    queries = [await _filled(context, one) for one in _queries_of(job)]
    if not queries:
        raise _bad("custom.query.query is empty: a hive task needs a query")
    state = HiveState(
        id="",
        created_at=0.0,
        queries=tuple(queries),
        cluster=job.cluster_label or cluster,
        tags=tuple(_tags(context, job)),
        results=_results_type(template),
    )
    size = len(msgspec.json.encode(state))
    if size > STATE_LIMIT:
        raise _bad(f"the queries and tags take {size} bytes of the custom state, which may have {STATE_LIMIT}")
    return state


def body_of(key: str, state: HiveState) -> dict[str, object]:
    """
    Write the request that makes the command. Pure.

    The key is its name: by that it is found again.
    """
    body: dict[str, object] = {
        "command_type": "HiveCommand",
        "query": ";\n".join(one.query.strip().rstrip(";") for one in state.queries),
        "name": key,
        "tags": list(state.tags),
    }
    if state.cluster:
        body["label"] = state.cluster
    limits = [one.timeout_sec for one in state.queries]
    if all(limits):
        body["timeout"] = sum(limits)
    return body


def results_at(state: HiveState, uri: str) -> LiteralMap | None:
    """Make the outputs: what the query wrote lies at a location. None for a task without outputs. Pure."""
    if not state.results:
        return None
    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.core.types_pb2 import LiteralType
    from google.protobuf.json_format import ParseDict

    declared = ParseDict(state.results, LiteralType())
    outputs = LiteralMap()
    scalar = outputs.literals[RESULTS].scalar
    if declared.WhichOneof("type") == "schema":
        scalar.schema.uri = uri
        scalar.schema.type.CopyFrom(declared.schema)
    else:
        scalar.structured_dataset.uri = uri
        scalar.structured_dataset.metadata.structured_dataset_type.CopyFrom(declared.structured_dataset_type)
    return outputs


def _queries_of(job: QuboleHiveJob) -> list[HiveQuery]:
    found = [job.query, *job.query_collection.queries]
    return [one for one in found if one.query.strip()]


async def _filled(context: Context, query: HiveQuery) -> Query:
    names = list(dict.fromkeys(found.text for found in variables(query.query)))
    values = dict(zip(names, await context.render(names), strict=True)) if names else {}
    return Query(query=fill(query.query, values), timeout_sec=query.timeout_sec)


def _tags(context: Context, job: QuboleHiveJob) -> Iterator[str]:
    own = [f"{name}:{value}" for name, value in sorted(context.labels.items())]
    for tag in dict.fromkeys([*job.tags, *own, f"ns:{context.namespace}"]):
        yield tag[:TAG_LIMIT]


def _results_type(template: TaskTemplate) -> dict[str, Any] | None:
    """Write the type of the one output that a Hive task can have; None when it has none."""
    from google.protobuf.json_format import MessageToDict

    declared = template.interface.outputs
    strange = [name for name in declared if name != RESULTS]
    if strange:
        raise _bad(f"output {strange[0]!r} cannot come of a query: a hive task has one output, {RESULTS!r}, or none")
    if not declared:
        return None
    kind = declared[RESULTS].type
    if kind.WhichOneof("type") not in {"schema", "structured_dataset_type"}:
        raise _bad(f"output {RESULTS!r} must be a schema or a structured dataset: the query writes it as files")
    return MessageToDict(kind)


def _bad(message: str) -> PermanentError:
    return PermanentError(message, code="BadTaskSpecification")
