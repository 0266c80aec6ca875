from __future__ import annotations

from typing import Any

import msgspec
import pytest
from flyteidl.core import literals_pb2 as lit
from flyteidl.core import types_pb2 as typ
from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
from flyteidl.core.identifier_pb2 import Identifier
from flyteidl.core.tasks_pb2 import Resources, TaskTemplate
from flyteidl.core.workflow_pb2 import ArrayNode, Node
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.data.make import (
    boolean,
    integer,
    literal_map,
    many,
    mapped,
    none,
    packed,
    real,
    struct,
    text,
    union,
)

from airscrew.engine.data.futures import UnresolvedError, plan_futures, ready_nodes, resolve_bindings
from airscrew.engine.errors import PermanentError
from airscrew.idl.template import decode_template
from airscrew.idl.wire import WireForm

DOUBLE = Identifier(name="mod.double", version="v1")


def static(name: str, value: lit.Literal) -> lit.Binding:
    return lit.Binding(var=name, binding=lit.BindingData(scalar=value.scalar))


def promise(node: str, name: str = "o0", *path: str | int) -> lit.BindingData:
    attributes = [
        typ.PromiseAttribute(int_value=part) if isinstance(part, int) else typ.PromiseAttribute(string_value=part)
        for part in path
    ]
    return lit.BindingData(promise=typ.OutputReference(node_id=node, var=name, attr_path=attributes))


def bound(name: str, data: lit.BindingData) -> lit.Binding:
    return lit.Binding(var=name, binding=data)


def several(*items: lit.BindingData) -> lit.BindingData:
    return lit.BindingData(collection=lit.BindingDataCollection(bindings=items))


def node(name: str, *inputs: lit.Binding, **fields: Any) -> Node:
    made = Node(id=name, inputs=inputs, **fields)
    if made.WhichOneof("target") is None:
        made.task_node.reference_id.CopyFrom(DOUBLE)
    return made


def spec(*nodes: Node, outputs: tuple[lit.Binding, ...] = (), min_successes: int = 0) -> bytes:
    task = TaskTemplate(id=DOUBLE, type="python-task")
    message = DynamicJobSpec(nodes=nodes, outputs=outputs, tasks=[task], min_successes=min_successes)
    return message.SerializeToString()


def test_every_node_is_a_task_with_its_template_and_bindings() -> None:
    data = spec(
        node("dn0", static("x", integer(1))),
        node("dn1", bound("x", promise("dn0"))),
        outputs=(bound("o0", several(promise("dn0"), promise("dn1"))),),
        min_successes=2,
    )

    plan = plan_futures(data)

    assert [one.id for one in plan.nodes] == ["dn0", "dn1"]
    assert decode_template(plan.nodes[0].template, WireForm.FLYTE1).name == "mod.double"
    assert [one.upstream for one in plan.nodes] == [frozenset(), {"dn0"}]
    assert plan.min_successes == 2
    assert [binding.var for binding in plan.outputs] == ["o0"]


def test_a_node_waits_for_its_promises_and_for_those_it_names() -> None:
    inner = lit.BindingData(map=lit.BindingDataMap(bindings={"k": several(promise("b"))}))

    plan = plan_futures(spec(node("a"), node("b"), node("c", bound("x", inner), upstream_node_ids=["a"])))

    assert plan.nodes[2].upstream == {"a", "b"}


def test_a_node_may_have_its_own_retries_timeout_and_resources() -> None:
    made = node("a")
    made.metadata.name = "pretty"
    made.metadata.retries.retries = 3
    made.metadata.timeout.CopyFrom(Duration(seconds=90))
    made.metadata.interruptible = True
    made.metadata.cacheable = False
    made.task_node.overrides.container_image = "image:2"
    made.task_node.overrides.resources.requests.add(name=Resources.CPU, value="2")
    made.task_node.overrides.resources.limits.add(name=Resources.EPHEMERAL_STORAGE, value="1Gi")

    planned = plan_futures(spec(made)).nodes[0]

    assert (planned.name, planned.retries, planned.timeout) == ("pretty", 3, 90.0)
    assert (planned.interruptible, planned.cacheable) == (True, False)
    assert planned.overrides == {
        "image": "image:2",
        "resources": {"requests": {"cpu": "2"}, "limits": {"ephemeral-storage": "1Gi"}},
    }


def test_what_a_node_does_not_say_is_left_to_its_template() -> None:
    planned = plan_futures(spec(node("a"))).nodes[0]

    assert (planned.name, planned.retries, planned.timeout) == ("a", None, None)
    assert (planned.interruptible, planned.cacheable, planned.overrides) == (None, None, {})


def test_without_a_number_all_have_to_succeed() -> None:
    assert plan_futures(spec(node("a"), node("b"))).min_successes == 2


def test_the_same_bytes_give_the_same_plan() -> None:
    data = spec(node("b"), node("a"), node("c", upstream_node_ids=["a", "b"]))

    assert plan_futures(data) == plan_futures(data)


def sub_workflow() -> Node:
    made = Node(id="n1")
    made.workflow_node.sub_workflow_ref.name = "mod.wf"
    return made


def launch_plan() -> Node:
    made = Node(id="n1")
    made.workflow_node.launchplan_ref.name = "mod.lp"
    return made


def branch() -> Node:
    made = Node(id="n1")
    made.branch_node.SetInParent()
    return made


def gate() -> Node:
    made = Node(id="n1")
    made.gate_node.sleep.duration.seconds = 1
    return made


def reference() -> Node:
    made = Node(id="n1")
    made.task_node.reference_id.name = "elsewhere.fn"
    return made


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (sub_workflow(), r"a sub-workflow \(mod\.wf\)"),
        (launch_plan(), r"a launch plan \(mod\.lp\)"),
        (branch(), "a condition"),
        (gate(), "a gate"),
        (Node(id="n1", array_node=ArrayNode(node=node("inner"))), "a map task"),
        (reference(), r"'elsewhere\.fn', which futures\.pb does not hold"),
        (Node(id="n1"), "nothing that can be run"),
        (node("n1", output_aliases=[{"var": "a", "alias": "b"}]), "output_aliases"),
    ],
)
def test_what_is_not_run_is_refused_by_name(made: Node, named: str) -> None:
    with pytest.raises(PermanentError, match=rf"node 'n1' .*{named}") as caught:
        plan_futures(spec(made))

    assert caught.value.code == "BadDynamicSpecification"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (
            spec(node("a", upstream_node_ids=["b"]), node("b", bound("x", promise("a")))),
            "circle: a -> b -> a|b -> a -> b",
        ),
        (spec(node("a", upstream_node_ids=["a"])), "circle"),
        (spec(node("a", bound("x", promise("z")))), "waits for 'z'"),
        (spec(node("a"), node("a")), "two nodes with one id"),
        (spec(node("a"), outputs=(bound("o0", promise("z")),)), "o0.*'z'"),
        (spec(node("a"), min_successes=2), "2 successes of 1"),
        (b"\xff\xff", "is not a flyteidl.core.DynamicJobSpec"),
    ],
)
def test_a_plan_that_can_never_end_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(PermanentError, match=problem):
        plan_futures(data)


def test_a_node_is_ready_once_all_before_it_succeeded() -> None:
    plan = plan_futures(spec(node("a"), node("b"), node("c", upstream_node_ids=["a", "b"])))

    assert [one.id for one in ready_nodes(plan, [], [])] == ["a", "b"]
    assert [one.id for one in ready_nodes(plan, ["a"], ["a", "b"])] == []
    assert [one.id for one in ready_nodes(plan, ["a", "b"], ["a", "b"])] == ["c"]


@given(st.lists(st.integers(0, 100), max_size=12))
def test_every_plan_without_a_circle_is_worked_off(back: list[int]) -> None:
    nodes = [
        node(f"n{number}", upstream_node_ids=[f"n{reach % number}"] if number and reach % 3 else [])
        for number, reach in enumerate(back)
    ]
    plan = plan_futures(spec(*nodes))
    done: list[str] = []

    while ready := ready_nodes(plan, done, done):
        done += [one.id for one in ready]

    assert sorted(done) == sorted(one.id for one in plan.nodes)


RESULTS = {"a": literal_map(o0=integer(1), l=many(integer(5), integer(6)), m=mapped(k=many(text("deep"))))}


def resolved(data: lit.BindingData, results: dict[str, lit.LiteralMap] = RESULTS) -> lit.Literal:
    return resolve_bindings([bound("x", data)], results).literals["x"]


def test_static_values_promises_lists_and_maps_are_resolved() -> None:
    entries = lit.BindingDataMap(bindings={"k": promise("a"), "s": static("", text("v")).binding})
    bindings = [
        static("s", text("x")),
        bound("p", promise("a")),
        bound("l", several(promise("a"), static("", integer(2)).binding)),
        bound("m", lit.BindingData(map=entries)),
        bound("e", several()),
    ]

    inputs = resolve_bindings(bindings, RESULTS)

    assert inputs == literal_map(
        s=text("x"), p=integer(1), l=many(integer(1), integer(2)), m=mapped(k=integer(1), s=text("v")), e=many()
    )


def test_a_promise_goes_on_into_lists_and_maps() -> None:
    assert resolved(promise("a", "l", 1)) == integer(6)
    assert resolved(promise("a", "l", -1)) == integer(6)
    assert resolved(promise("a", "m", "k", 0)) == text("deep")


def test_a_promise_goes_on_into_a_dataclass() -> None:
    value = msgspec.msgpack.encode({"inner": {"items": [1, 2]}, "empty": None})
    results = {"a": literal_map(o0=packed(value), u=union(many(packed(value))))}

    inner = resolved(promise("a", "o0", "inner", "items", 1), results)

    assert (inner.scalar.binary.tag, msgspec.msgpack.decode(inner.scalar.binary.value)) == ("msgpack", 2)
    assert resolved(promise("a", "o0", "empty"), results) == none()
    assert resolved(promise("a", "u", 0, "inner", "items", 1), results) == inner


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("s",), text("v")),
        (("n",), real(2.0)),
        (("b",), boolean(True)),
        (("l", 1), text("two")),
        (("l",), many(real(1.0), text("two"))),
        (("d",), struct(k="w")),
        (("d", "k"), text("w")),
        (("z",), none()),
    ],
)
def test_a_promise_goes_on_into_a_struct(path: tuple[str | int, ...], expected: lit.Literal) -> None:
    results = {"a": literal_map(o0=struct(s="v", n=2, b=True, l=[1, "two"], d={"k": "w"}, z=None))}

    assert resolved(promise("a", "o0", *path), results) == expected


@pytest.mark.parametrize(
    "data",
    [
        promise("b"),
        promise("a", "none"),
        promise("a", "l", 2),
        promise("a", "l", "k"),
        promise("a", "m", "z"),
        promise("a", "o0", "k"),
        lit.BindingData(),
    ],
)
def test_what_was_promised_and_is_not_there_is_permanent(data: lit.BindingData) -> None:
    with pytest.raises(UnresolvedError, match="the value for 'x' cannot be had") as caught:
        resolved(data)

    assert isinstance(caught.value, PermanentError)


def test_a_node_that_may_fail_gives_none() -> None:
    outputs = [bound("o0", several(promise("a"), promise("b", "o0")))]

    literals = resolve_bindings(outputs, RESULTS, failed={"b"})

    assert literals == literal_map(o0=many(integer(1), none()))
