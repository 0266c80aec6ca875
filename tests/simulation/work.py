"""
What the tasks of a simulation are: templates, the plans of dynamic ones, and the one output that they make.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from airscrew.idl.template import TaskMetadata, make_template

OUTPUT = 7
"""The value of every output."""


@lru_cache(maxsize=4000)
def template(
    kind: str,
    custom: tuple[tuple[str, Any], ...],
    cached: bool,
    retries: int,
    *,
    serial: bool = True,
    takes: bool = False,
) -> bytes:
    """Make a template; the same bytes in every process."""
    metadata = TaskMetadata(
        retries=retries,
        discoverable=cached,
        discovery_version="1" if cached else "",
        cache_serializable=cached and serial,
    )
    outputs = {"o0": int} if kind in {"cached", "dynamic"} else {}
    inputs = {"x": str} if takes else {}
    made = make_template(
        kind, name=f"sim.{kind}", custom=dict(custom), metadata=metadata, inputs=inputs, outputs=outputs
    )
    # Maps have an order of their own in every process; the bytes are to be the same.
    from flyteidl.core.tasks_pb2 import TaskTemplate

    return bytes(TaskTemplate.FromString(made.raw).SerializeToString(deterministic=True))


@lru_cache(maxsize=2)
def inputs(size: int) -> bytes:
    """Make the inputs of a task that takes some."""
    from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar

    text = Literal(scalar=Scalar(primitive=Primitive(string_value="x" * size)))
    return LiteralMap(literals={"x": text}).SerializeToString(deterministic=True)


@lru_cache(maxsize=1)
def outputs() -> Any:
    """Make the outputs of a job."""
    from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar

    return LiteralMap(literals={"o0": Literal(scalar=Scalar(primitive=Primitive(integer=OUTPUT)))})


PLANS: dict[str, tuple[tuple[str, str], ...]] = {
    "pair": (("cached", "succeeded"), ("plain", "succeeded")),
    "long": (("cached", "succeeded"), ("listed", "succeeded"), ("keyed", "flaky")),
    "bad": (("cached", "succeeded"), ("keyed", "broken"), ("blind", "succeeded")),
}
"""Kinds and outcomes of the children of each plan; the parent's output is that of the first one."""


@lru_cache(maxsize=100)
def plan(name: str) -> bytes:
    """Make the ``futures.pb`` of a plan."""
    from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
    from flyteidl.core.literals_pb2 import Binding, BindingData
    from flyteidl.core.tasks_pb2 import TaskTemplate
    from flyteidl.core.types_pb2 import OutputReference
    from flyteidl.core.workflow_pb2 import Node

    nodes, tasks = [], []
    for number, (kind, outcome) in enumerate(PLANS[name]):
        custom = (("seconds", 2 + 3 * number), ("outcome", outcome), ("stubborn", number))
        task = TaskTemplate.FromString(template(kind, custom, cached=False, retries=1))
        task.id.name = f"sim.{name}.{number}"
        node = Node(id=f"dn{number}")
        node.task_node.reference_id.CopyFrom(task.id)
        nodes.append(node)
        tasks.append(task)
    output = Binding(var="o0", binding=BindingData(promise=OutputReference(node_id="dn0", var="o0")))
    spec = DynamicJobSpec(nodes=nodes, tasks=tasks, outputs=[output])
    return bytes(spec.SerializeToString(deterministic=True))
