from __future__ import annotations

import json

import pytest
import yaml
from flyteidl.admin.launch_plan_pb2 import LaunchPlan
from flyteidl.admin.task_pb2 import TaskSpec as TaskSpec1
from flyteidl.core.tasks_pb2 import TaskTemplate as Message1
from flyteidl2.core.tasks_pb2 import TaskTemplate as Message2
from flyteidl2.task.task_definition_pb2 import TaskSpec as TaskSpec2
from google.protobuf.json_format import MessageToDict

from airscrew.idl.errors import UsageError
from airscrew.idl.literals import to_json
from airscrew.idl.template import load_one, load_templates
from airscrew.idl.wire import WireForm

REFUSED = r"^nonsense.bin is not a task template: tried .* \(binary\), JSON, YAML and tgz$"


def task(message_type=Message1, *, kind="python-task", **fields):
    message = message_type(type=kind, **fields)
    message.id.name = "mod.fn"
    message.id.resource_type = 1
    return message


def test_a_task_spec_is_read_with_its_description():
    spec = TaskSpec1(template=task())
    spec.description.short_description = "adds"
    spec.description.long_description.value = "adds one"

    [loaded] = load_templates(spec.SerializeToString()).templates

    assert loaded.form == "flyteidl.admin.TaskSpec (binary)"
    assert loaded.template.message == spec.template


def test_a_task_spec_of_flyte_2_is_read_with_its_default_inputs():
    spec = TaskSpec2(task_template=task(Message2, kind="python"), short_name="fn")
    default = spec.default_inputs.add(name="x").parameter.default
    default.scalar.primitive.integer = 3

    [loaded] = load_templates(spec.SerializeToString()).templates

    assert loaded.form == "flyteidl2.task.TaskSpec (binary)"
    assert loaded.template.wire is WireForm.FLYTE2
    assert {name: to_json(literal) for name, literal in loaded.default_inputs.items()} == {"x": 3}


@pytest.mark.parametrize(
    ("wire", "change"),
    [
        (WireForm.FLYTE1, lambda message: None),
        (WireForm.FLYTE1, lambda message: setattr(message.metadata.runtime, "version", "1.16.3")),
        (WireForm.FLYTE1, lambda message: setattr(message.metadata.runtime, "version", "0.0.0+develop")),
        (WireForm.FLYTE2, lambda message: setattr(message.metadata.runtime, "version", "2.0.0b31")),
        (WireForm.FLYTE2, lambda message: message.container.args.append("a0")),
    ],
)
def test_a_bare_template_of_shared_fields_is_told_by_its_sdk(wire, change):
    message = task()
    message.metadata.runtime.type = 1
    change(message)

    assert load_one(message.SerializeToString()).wire is wire
    assert load_one(json.dumps(MessageToDict(message)).encode()).wire is wire


@pytest.mark.parametrize("field", ["debuggable", "code_bundle_uri"])
def test_a_bare_template_with_a_field_of_flyte_2_is_of_flyte_2(field):
    message = task(Message2)
    setattr(message.metadata, field, True if field == "debuggable" else "s3://code")

    template = load_one(message.SerializeToString())

    assert template.wire is WireForm.FLYTE2
    assert template.own_message == message
    assert load_one(json.dumps(MessageToDict(message)).encode()) == template


def test_a_future_field_deep_inside_a_flytekit_template_does_not_make_it_flyte_2():
    message = task()
    message.metadata.runtime.type = 1
    message.metadata.runtime.version = "1.17.0"
    message.metadata.MergeFromString(b"\x88\x01\x01")

    assert load_one(message.SerializeToString()).wire is WireForm.FLYTE1


@pytest.mark.parametrize("ending", ["json", "yaml", "yml"])
@pytest.mark.parametrize("wrap", [lambda tree: tree, lambda tree: {"template": tree}])
def test_a_template_is_written_by_hand_in_json_or_yaml(ending, wrap):
    tree = wrap({"id": {"name": "hello"}, "type": "echo", "interface": {}})
    text = json.dumps(tree) if ending == "json" else yaml.safe_dump(tree)

    assert load_one(text.encode(), f"task.{ending}") == load_one(text.encode())
    assert load_one(text.encode()).type == "echo"


def test_field_names_may_be_written_as_in_the_proto_files():
    text = b"type: echo\ntask_type_version: 2\nid: {name: hello, resource_type: TASK}\n"

    assert load_one(text).version == 2


def test_flyte_2_is_written_by_hand_with_a_list_of_variables():
    text = (
        b"{type: python, id: {name: f}, interface: {inputs: {variables: [{key: x, value: {type: {simple: INTEGER}}}]}}}"
    )

    template = load_one(text, "task.yaml")

    assert template.wire is WireForm.FLYTE2
    assert list(template.interface.inputs) == ["x"]


def test_a_wrapped_flyte_2_spec_is_written_by_hand():
    text = b"taskTemplate: {type: python, id: {name: f}}\nshortName: f\n"

    assert load_one(text).wire is WireForm.FLYTE2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"type: echo\nid: {name: x}\nmetadata: {retries: 3}", r"flyteidl.core.TaskTemplate: field metadata.retries: "),
        (b"type: echo\nid: {name: x}\ncolor: red", r"core.TaskTemplate: field color: there is no such field"),
        (b"type: 3\nid: {name: x}", r"field type: "),
        (b"type: echo\nid: {}", r"needs a type and an id with a name"),
        (b"type: echo\nid: {name: w, resourceType: WORKFLOW}", r"of a TASK"),
        (b"type: echo\nid: {name: x, version: 2024-01-01}", r"2024-01-01 is a date to YAML, put it in quotes"),
        (b"type: echo\nid: {name: x}\n1: 2", r"the key 1 is not a string"),
        (b"- type: echo", r"holds no object of fields"),
        (b"kind: Pod", r"neither 'type' and 'id' \(a TaskTemplate\) nor 'template'"),
        (b"type: [", r"neither JSON nor YAML: .* in line 1"),
        (b"{\"type\": ", r"neither JSON nor YAML"),
        (b"a: &a [*a]\ntype: x\nid: {name: y}", r"too large: more than"),
        (b"type: python\nid: {name: f}\ninterface: {inputs: {variables: [3]}}", r"not a flyteidl2.core.TaskTemplate"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_is_named(text, problem):
    with pytest.raises(UsageError, match=problem) as caught:
        load_templates(text, "task.yaml")

    assert str(caught.value).startswith("task.yaml")
    assert "\n" not in str(caught.value)


def test_aliases_that_multiply_are_stopped():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    with pytest.raises(UsageError, match="too large"):
        load_templates("\n".join(lines).encode(), "bomb.yaml")


@pytest.mark.parametrize("data", [b"", b"   \n", b"\x00\x01\x02", b"\xff" * 100, b"\n\x03abc", b"\x7fELF" + bytes(99)])
def test_garbage_is_refused_in_one_line_that_says_what_was_tried(data):
    with pytest.raises(UsageError, match=REFUSED):
        load_templates(data, "nonsense.bin")


@pytest.mark.parametrize(
    "break_it",
    [
        lambda message: message.ClearField("type"),
        lambda message: message.ClearField("id"),
        lambda message: message.id.ClearField("name"),
        lambda message: setattr(message.id, "resource_type", 2),
        lambda message: setattr(message, "type", "two\nlines"),
        lambda message: message.MergeFromString(b"\xba\x3e\x03new"),
        lambda message: message.id.MergeFromString(b"\xba\x3e\x03new"),
    ],
)
def test_a_message_that_only_resembles_a_template_is_refused(break_it):
    message = task()
    break_it(message)

    with pytest.raises(UsageError):
        load_templates(message.SerializeToString(), "nonsense.bin")


def test_a_launch_plan_is_skipped_with_the_reason():
    plan = LaunchPlan()
    plan.id.resource_type, plan.id.name = 3, "nightly"

    [skipped] = load_templates(plan.SerializeToString(), "lp.pb").skipped

    assert skipped.reason == "is the launch plan 'nightly': only tasks run here"


def test_a_file_that_is_far_too_large_is_refused_before_it_is_parsed():
    with pytest.raises(UsageError, match=r"big.pb has 8,000,000 bytes and a task template at most 900,000"):
        load_templates(bytes(8_000_000), "big.pb")


def test_a_template_over_the_limit_is_refused_in_every_encoding():
    message = task(config={"x": "y" * 900_000})

    with pytest.raises(UsageError, match="the limit is 900,000"):
        load_templates(message.SerializeToString())
    with pytest.raises(UsageError, match="the limit is 900,000"):
        load_templates(json.dumps(MessageToDict(message)).encode())


def test_one_task_is_asked_of_a_file_that_holds_none(template_bytes):
    with pytest.raises(UsageError, match=r"^wf.pb holds no task: wf.pb is the workflow 'flows.basic.wf'"):
        load_one(template_bytes("v1/basic.wf.pb"), "wf.pb")


def test_a_task_that_is_not_in_the_file_is_named_with_those_that_are(template_bytes):
    with pytest.raises(UsageError, match=r"^a.pb holds no task 'boom', only: flows.basic.add$"):
        load_one(template_bytes("v1/basic.add.pb"), "a.pb", task="boom")


@pytest.mark.usefixtures("without_flyte2")
@pytest.mark.parametrize("file", ["v2/full.pb", "v2/plain.pb", "v2/full.json", "v2/bq.pb"])
def test_flyte_2_without_its_extra_says_how_to_install_it(file, template_bytes):
    with pytest.raises(UsageError, match=r"pip install airscrew\[flyte2\]"):
        load_templates(template_bytes(file), file)


@pytest.mark.usefixtures("without_flyte2")
@pytest.mark.parametrize("file", ["v1/basic.add.pb", "fast/plugins.ray_sq.pb", "v1/basic.add.json"])
def test_flyte_1_needs_no_extra(file, template_bytes):
    assert load_one(template_bytes(file), file).wire is WireForm.FLYTE1


@pytest.mark.usefixtures("without_flyte2")
def test_garbage_without_the_extra_says_what_was_not_tried():
    with pytest.raises(
        UsageError, match=r"tgz \(not the forms of Flyte 2, which need: pip install airscrew\[flyte2\]\)"
    ):
        load_templates(b"\x00\x01", "nonsense.bin")
