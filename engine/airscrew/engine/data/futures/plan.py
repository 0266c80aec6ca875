"""
From ``futures.pb`` to a plan of child executions.

Guarantees: every node of a plan is a task whose template is in the file; every node that another needs is in the plan,
and no node needs itself, however far around. Everything else is a ``PermanentError`` that names the node and what it
is. The nodes keep the file's order, so that a plan read again is the same plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from airscrew.engine.data.futures.bindings import BAD_FUTURES, promised_nodes
from airscrew.engine.errors import PermanentError
from airscrew.idl.wire import WireError, canonical_bytes, parse_message

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Binding

MAX_NODES = 5000
"""More children than this are a mistake, or belong into one task."""

_CONSTRUCTS = {
    "branch_node": "a condition",
    "gate_node": "a gate (approve, sleep or signal)",
    "array_node": "a map task (ArrayNode)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """
    One child.

    Attributes:
        id: Unique in the plan.
        name: For people.
        template: The serialized ``core.TaskTemplate`` (Flyte 1).
        bindings: Its inputs; not to be changed.
        upstream: The nodes that have to succeed first.
        retries: How many more attempts; None for what the template says.
        timeout: Seconds for an attempt; None for what the template says.
        interruptible: Whether it may run on capacity that can be taken away; None for what the template says.
        cacheable: Whether its outputs may come from the cache; None for what the template says.
        overrides: ``image``, ``resources`` and more, as plain JSON, in the form that a submission has them.
    """

    id: str
    name: str
    template: bytes = field(repr=False)
    bindings: tuple[Binding, ...]
    upstream: frozenset[str] = frozenset()
    retries: int | None = None
    timeout: float | None = None
    interruptible: bool | None = None
    cacheable: bool | None = None
    overrides: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicPlan:
    """
    All children, and what becomes of their outputs.

    Attributes:
        nodes: In the file's order.
        outputs: The outputs of the whole, bound to the nodes'; not to be changed.
        min_successes: How many nodes have to succeed.
    """

    nodes: tuple[NodePlan, ...]
    outputs: tuple[Binding, ...]
    min_successes: int


def plan_futures(data: bytes) -> DynamicPlan:
    """
    Read a ``futures.pb``.

    Raises:
        PermanentError: It is none, or holds something that is not run; names it.
    """
    from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec

    try:
        spec = parse_message(DynamicJobSpec, data, "futures.pb")
    except WireError as error:
        raise _bad(str(error)) from error
    if len(spec.nodes) > MAX_NODES:
        raise _bad(f"futures.pb has {len(spec.nodes):,} nodes and the limit is {MAX_NODES:,}")
    templates = {_task_name(task.id): canonical_bytes(task) for task in spec.tasks}
    nodes = tuple(_node(node, templates) for node in spec.nodes)
    _check_graph(nodes)
    outputs = tuple(spec.outputs)
    _check_promises("the outputs", outputs, {node.id for node in nodes})
    return DynamicPlan(nodes=nodes, outputs=outputs, min_successes=_min_successes(spec.min_successes, len(nodes)))


def ready_nodes(plan: DynamicPlan, succeeded: Collection[str], started: Collection[str]) -> list[NodePlan]:
    """List the nodes that can be started now, in the plan's order: pure."""
    done = set(succeeded)
    return [node for node in plan.nodes if node.id not in started and node.upstream <= done]


def _node(node: Any, templates: Mapping[str, bytes]) -> NodePlan:  # noqa: ANN401 - generated code without types
    template = _template(node, templates)
    if node.output_aliases:
        raise _bad(f"node {node.id!r} gives its outputs other names (output_aliases), which is not supported")
    metadata = node.metadata
    bindings = tuple(node.inputs)
    promised = set[str]().union(*(promised_nodes(binding.binding) for binding in bindings))
    return NodePlan(
        id=node.id,
        name=metadata.name or node.id,
        template=template,
        bindings=bindings,
        upstream=frozenset({*node.upstream_node_ids, *promised}),
        retries=int(metadata.retries.retries) if metadata.HasField("retries") else None,
        timeout=_seconds(metadata.timeout) if metadata.HasField("timeout") else None,
        interruptible=bool(metadata.interruptible) if metadata.WhichOneof("interruptible_value") else None,
        cacheable=bool(metadata.cacheable) if metadata.WhichOneof("cacheable_value") else None,
        overrides=_overrides(node.task_node.overrides),
    )


def _template(node: Any, templates: Mapping[str, bytes]) -> bytes:  # noqa: ANN401 - generated code without types
    match node.WhichOneof("target"):
        case "task_node":
            name = _task_name(node.task_node.reference_id)
            if name in templates:
                return templates[name]
            raise _bad(
                f"node {node.id!r} runs task {node.task_node.reference_id.name!r}, which futures.pb does not hold: "
                "a reference task cannot be run, call the task itself"
            )
        case "workflow_node" if node.workflow_node.WhichOneof("reference") == "sub_workflow_ref":
            what = f"a sub-workflow ({node.workflow_node.sub_workflow_ref.name})"
        case "workflow_node":
            what = f"a launch plan ({node.workflow_node.launchplan_ref.name})"
        case target:
            what = _CONSTRUCTS.get(target, "nothing that can be run")
    raise _bad(f"node {node.id!r} is {what}, which is not supported in a dynamic task: call tasks only")


def _check_graph(nodes: tuple[NodePlan, ...]) -> None:
    by_id = {node.id: node for node in nodes}
    if len(by_id) != len(nodes):
        raise _bad("futures.pb has two nodes with one id")
    for node in nodes:
        for other in sorted(node.upstream - by_id.keys()):
            raise _bad(f"node {node.id!r} waits for {other!r}, which futures.pb does not hold")
    try:
        TopologicalSorter({node.id: node.upstream for node in nodes}).prepare()
    except CycleError as error:
        raise _bad(f"nodes wait for each other in a circle: {' -> '.join(error.args[1])}") from None


def _check_promises(what: str, bindings: Iterable[Binding], known: Collection[str]) -> None:
    for binding in bindings:
        for other in sorted(promised_nodes(binding.binding) - set(known)):
            raise _bad(f"{what} ({binding.var}) come from node {other!r}, which futures.pb does not hold")


def _min_successes(wanted: int, count: int) -> int:
    if wanted > count:
        raise _bad(f"futures.pb wants {wanted} successes of {count} nodes")
    # Zero is what an absent number looks like: all have to succeed.
    return wanted if wanted > 0 else count


def _task_name(identifier: Any) -> str:  # noqa: ANN401 - generated code without types
    return "\0".join((identifier.project, identifier.domain, identifier.name, identifier.version))


def _seconds(duration: Any) -> float | None:  # noqa: ANN401 - generated code without types
    seconds = float(duration.seconds) + float(duration.nanos) / 1e9
    return seconds if seconds > 0 else None


def _overrides(message: Any) -> dict[str, object]:  # noqa: ANN401 - generated code without types
    from google.protobuf.json_format import MessageToDict

    overrides: dict[str, object] = {}
    if message.container_image:
        overrides["image"] = str(message.container_image)
    if message.HasField("resources"):
        resources = {
            kind: {_resource_name(entry): str(entry.value) for entry in getattr(message.resources, kind)}
            for kind in ("requests", "limits")
        }
        overrides["resources"] = {kind: entries for kind, entries in resources.items() if entries}
    for name in ("extended_resources", "pod_template"):
        if message.HasField(name):
            overrides[name] = MessageToDict(getattr(message, name))
    return {name: value for name, value in overrides.items() if value}


def _resource_name(entry: Any) -> str:  # noqa: ANN401 - generated code without types
    from flyteidl.core.tasks_pb2 import Resources

    return str(Resources.ResourceName.Name(entry.name)).lower().replace("_", "-")


def _bad(message: str) -> PermanentError:
    return PermanentError(message, code=BAD_FUTURES)
