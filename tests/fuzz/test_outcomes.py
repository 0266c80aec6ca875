"""What tasks leave: an error, outputs or a plan of any bytes is an end with a reason, or outputs as declared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
from flyteidl.core.errors_pb2 import ErrorDocument
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.workflow_pb2 import Alias, Node
from hypothesis import strategies as st
from tests.fuzz.engine import play, see_end, submitted
from tests.fuzz.mutations import spoilt_bytes, spoilt_messages, weighted
from tests.fuzz.target import Target
from tests.support.literal_maps import literals
from tests.support.templates import echo_template
from typing_extensions import override

from airscrew.engine.api.model import SubmitRequest
from airscrew.engine.core import Core
from airscrew.engine.executor import Executor, NoEffect, OutputsAt, TaskContext, TaskStatus
from airscrew.plugins.echo import EchoExecutor

FILES = {b"e": "error.pb", b"w": "error-1.pb", b"o": "outputs.pb", b"f": "futures.pb"}


class Left(msgspec.Struct, frozen=True):
    """Nothing is to be kept."""


class Leaver(Executor[Left]):
    """A task that leaves one file, and says that all went well; or not, where it leaves an error."""

    id = "leaver"
    task_types = ("leaver",)
    state_type = Left
    start_declaration = NoEffect()

    def __init__(self, file: str, data: bytes) -> None:
        self.file, self.data = file, data

    @override
    async def start_task(self, context: TaskContext[Left], template: object) -> TaskStatus[Left]:
        prefix = context.locations.output_prefix
        await context.data.write_bytes(f"{prefix}/{self.file}", self.data)
        if self.file == "error-1.pb":
            failed = TaskStatus.retryable_failure(Left(), "it broke", code="Broken")
            return replace(failed, outputs=OutputsAt(prefix))
        return TaskStatus.success(Left(), OutputsAt(prefix))

    @override
    async def check_task_status(self, context: TaskContext[Left], state: Left) -> TaskStatus[Left]:
        raise AssertionError("it was over at once")


def job() -> DynamicJobSpec:
    """A plan of two echoes, one after the other."""
    made = DynamicJobSpec(min_successes=2)
    task = echo_template({"x": "int"}, name="demo.child")
    made.tasks.add().CopyFrom(task)
    for name, upstream in (("n0", ""), ("n1", "n0")):
        node = Node(id=name, upstream_node_ids=[upstream] if upstream else [])
        node.task_node.reference_id.CopyFrom(task.id)
        bound = node.inputs.add(var="x")
        if upstream:
            bound.binding.promise.node_id, bound.binding.promise.var = upstream, "o0"
        else:
            bound.binding.scalar.primitive.integer = 3
        node.output_aliases.append(Alias(var="o0", alias="o0"))
        made.nodes.add().CopyFrom(node)
    output = made.outputs.add(var="o0")
    output.binding.promise.node_id, output.binding.promise.var = "n1", "o0"
    return made


def error() -> ErrorDocument:
    made = ErrorDocument()
    made.error.code, made.error.message, made.error.kind, made.error.origin = "USER:ValueError", "boom", 1, 1
    made.error.worker = "worker-3"
    made.error.timestamp.FromJsonString("2024-01-01T00:00:00.5Z")
    return made


ERRORS = [error().SerializeToString()]
OUTPUTS = [literals(o0=(7, int)).SerializeToString(), literals(o0=("a", str), o1=(1, int)).SerializeToString()]
PLANS = [job().SerializeToString()]


def check(data: bytes) -> None:
    file = FILES.get(data[:1], "outputs.pb")

    async def body(core: Core, folder: Path) -> None:
        template = echo_template(name="demo.left", task_type="leaver")
        template.interface.outputs.CopyFrom(echo_template({"x": "int"}).interface.outputs)
        execution = await submitted(core, SubmitRequest(name="bad", template=template.SerializeToString()))
        view = await see_end(core, execution)
        if view.phase.name == "SUCCESS":
            assert "o0" in (await core.api.outputs(execution)).values
            assert not file.startswith("error")

    play(body, EchoExecutor(), Leaver(file, data[1:]))


def left(kind: bytes, inputs: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return inputs.map(lambda data: kind + data)


INPUTS = weighted(
    (2, left(b"e", spoilt_messages(ErrorDocument, ERRORS))),
    (1, left(b"w", spoilt_bytes(ERRORS))),
    (2, left(b"o", spoilt_messages(LiteralMap, OUTPUTS))),
    (1, left(b"o", spoilt_bytes(OUTPUTS))),
    (4, left(b"f", spoilt_messages(DynamicJobSpec, PLANS))),
    (1, left(b"f", spoilt_bytes(PLANS))),
)
TARGET = Target(name="outcomes", inputs=INPUTS, check=check, examples=100)


@TARGET.fuzzed
def test_any_file_that_a_task_leaves_is_an_end_with_a_reason(data: bytes) -> None:
    check(data)
