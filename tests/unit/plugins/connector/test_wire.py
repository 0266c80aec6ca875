"""
Answers of every kind, in both generations, and garbage.
"""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.admin import agent_pb2
from flyteidl.core.execution_pb2 import ExecutionError, TaskExecution
from flyteidl2.connector import connector_pb2
from tests.support.literal_maps import literals, plain

from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.idl.wire import WireError, WireForm
from airscrew.plugins.connector.answers import JobView, Served
from airscrew.plugins.connector.wire import Call, Wire

MESSAGES: dict[WireForm, Any] = {WireForm.FLYTE1: agent_pb2, WireForm.FLYTE2: connector_pb2}


@pytest.fixture(params=[WireForm.FLYTE1, WireForm.FLYTE2])
def wire(request: pytest.FixtureRequest) -> Wire:
    return Wire(request.param)


def view_of(wire: Wire, **resource: Any) -> JobView:
    messages = MESSAGES[wire.form]
    reply = messages.GetTaskResponse(resource=messages.Resource(**resource))
    return wire.read_get(reply.SerializeToString())


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("QUEUED", Phase.QUEUED),
        ("WAITING_FOR_RESOURCES", Phase.WAITING_FOR_RESOURCES),
        ("INITIALIZING", Phase.INITIALIZING),
        ("RUNNING", Phase.RUNNING),
        ("SUCCEEDED", Phase.SUCCESS),
        ("FAILED", Phase.PERMANENT_FAILURE),
        ("ABORTED", Phase.PERMANENT_FAILURE),
        ("RETRYABLE_FAILED", Phase.RETRYABLE_FAILURE),
    ],
)
def test_every_phase_has_its_own(wire: Wire, name: str, phase: Phase) -> None:
    assert view_of(wire, phase=TaskExecution.Phase.Value(name)).phase is phase


def test_every_phase_of_the_message_but_undefined_is_known(wire: Wire) -> None:
    for number in TaskExecution.Phase.values():
        if number:
            assert view_of(wire, phase=number).phase is not Phase.UNDEFINED


@pytest.mark.parametrize("number", [0, 9, 4711])
def test_a_phase_that_is_none_is_no_answer(wire: Wire, number: int) -> None:
    with pytest.raises(WireError, match=f"phase {number}, which is none"):
        view_of(wire, phase=number)


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"", b"\x0a\x05ab"], ids=["garbage", "nothing", "cut off"])
def test_what_is_no_message_is_no_answer(wire: Wire, data: bytes) -> None:
    for read in (wire.read_get, wire.read_create):
        with pytest.raises(WireError):
            read(data)


def test_an_agent_of_before_there_were_phases_is_understood() -> None:
    view = view_of(Wire(WireForm.FLYTE1), state=agent_pb2.SUCCEEDED)

    assert view.phase is Phase.SUCCESS


def test_the_error_of_an_agent_picks_budget_and_phase() -> None:
    error = agent_pb2.AgentError(code="Quota", kind=agent_pb2.AgentError.RECOVERABLE, origin=ExecutionError.SYSTEM)

    view = view_of(Wire(WireForm.FLYTE1), phase=TaskExecution.FAILED, agent_error=error)

    assert (view.phase, view.error_code, view.error_kind) == (Phase.RETRYABLE_FAILURE, "Quota", ErrorKind.SYSTEM)


def test_outputs_and_links_are_read(wire: Wire) -> None:
    messages = MESSAGES[wire.form]
    resource = messages.Resource(phase=TaskExecution.SUCCEEDED)
    resource.log_links.add(name="Console", uri="https://jobs.example/1")
    if wire.form is WireForm.FLYTE1:
        resource.outputs.CopyFrom(literals(answer=(7, int)))
    else:
        literal = literals(answer=(7, int)).literals["answer"]
        resource.outputs.literals.add(name="answer").value.MergeFromString(literal.SerializeToString())

    view = wire.read_get(messages.GetTaskResponse(resource=resource).SerializeToString())

    assert plain(view.outputs) == {"answer": 7}
    assert [(link.name, link.uri) for link in view.logs] == [("Console", "https://jobs.example/1")]


def test_what_is_served_is_told_by_version_and_an_old_agent_by_type_alone() -> None:
    reply = agent_pb2.ListAgentsResponse()
    reply.agents.add(name="new", is_sync=True).supported_task_categories.add(name="b", version=2)
    reply.agents.add(name="old", supported_task_types=["a"])

    served = Wire(WireForm.FLYTE1).read_list(reply.SerializeToString())

    assert served == (Served("a"), Served("b", 2, is_sync=True))


def test_of_a_type_that_is_served_both_ways_the_job_comes_first() -> None:
    reply = agent_pb2.ListAgentsResponse()
    for name, is_sync in (("now", True), ("later", False)):
        one = reply.agents.add(name=name, is_sync=is_sync)
        for number in range(20):
            one.supported_task_categories.add(name=f"t{number:02}")

    served = Wire(WireForm.FLYTE1).read_list(reply.SerializeToString())

    assert [one.is_sync for one in served] == [False, True] * 20


def test_a_request_carries_inputs_and_whoever_asks(wire: Wire) -> None:
    call = Call(
        template=b"",
        inputs=literals(x=(7, int)),
        output_prefix="s3://out",
        metadata={"labels": {"airscrew.dev/key": "abc"}, "maxAttempts": 2},
        connection={"secrets": {"token": "t"}},
    )

    request = MESSAGES[wire.form].CreateTaskRequest.FromString(wire.create_request(call))

    assert request.task_execution_metadata.labels["airscrew.dev/key"] == "abc"
    assert request.output_prefix == "s3://out"
    if wire.form is WireForm.FLYTE2:
        assert [one.name for one in request.inputs.literals] == ["x"]
        assert request.connection.secrets["token"] == "t"
    else:
        assert list(request.inputs.literals) == ["x"]


def test_sync_outputs_apart_from_the_header_are_taken() -> None:
    header = agent_pb2.ExecuteTaskSyncResponseHeader(resource=agent_pb2.Resource(phase=TaskExecution.SUCCEEDED))
    answers = [
        agent_pb2.ExecuteTaskSyncResponse(header=header).SerializeToString(),
        agent_pb2.ExecuteTaskSyncResponse(outputs=literals(answer=(7, int))).SerializeToString(),
    ]

    view = Wire(WireForm.FLYTE1).read_execute(answers)

    assert plain(view.outputs) == {"answer": 7}
