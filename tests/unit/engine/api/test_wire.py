"""Structs to messages and back: nothing is lost, and service.proto agrees with the model."""

from __future__ import annotations

import msgspec
import pytest
from google.protobuf.message import Message

from airscrew.engine.api.adapter import ServerInfo
from airscrew.engine.api.model import (
    AttemptView,
    ExecutionView,
    ExecutorView,
    LeakView,
    ListReply,
    ListRequest,
    LogChunk,
    OutputsView,
    SubmitReply,
    SubmitRequest,
)
from airscrew.engine.api.wire import decode, encode
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.phase import ExternalResource, LogLink, Phase, Reason, TaskInfo
from airscrew.idl.proto.service.v1 import service_pb2 as pb

ERROR = ExecutionError(code="C", message="märchen", kind=ErrorKind.SYSTEM, uri="file:///e", worker="w-1")
INFO = TaskInfo(
    logs=(LogLink(name="log", uri="file:///l", show_while_pending=True),),
    external_resources=(ExternalResource(external_id="j-1", phase=Phase.RUNNING, custom_info={"a": [1, None]}),),
    progress=0.0,
    custom_info={"big": 2**63, "deep": {"x": 1.5}},
    reasons=(Reason(reason="pulled", occurred_at=3.5),),
    occurred_at=4.0,
)
VIEW = ExecutionView(
    execution="default/a",
    uid="u",
    task_type="t",
    phase=Phase.RETRYABLE_FAILURE,
    phase_version=2**40,
    info=INFO,
    custom_state={"id": 2**60, "list": [], "none": None},
    error=ERROR,
    labels={"k": "v"},
    attempts=[AttemptView(attempt=0, phase=Phase.ABORTED, error=ERROR), AttemptView(attempt=1, phase=Phase.SUCCESS)],
    ledger=["a1", "a2"],
)
FULL: list[tuple[msgspec.Struct, type[Message]]] = [
    (VIEW, pb.ExecutionView),
    (ExecutionView(execution="e", uid="u", task_type="t", phase=Phase.UNDEFINED), pb.ExecutionView),
    (SubmitRequest(template=b"\0\xff"), pb.SubmitRequest),
    (
        SubmitRequest(
            template=b"t",
            overrides={"resources": {"cpu": 1}},
            interruptible=False,
            max_attempts=0,
            item=0,
            timeouts={"total": 1.5},
            labels={"": ""},
        ),
        pb.SubmitRequest,
    ),
    (SubmitReply(execution="e", uid="u", created=False), pb.SubmitReply),
    (ListRequest(phases=[Phase.WAITING_FOR_CACHE, Phase.QUEUED], limit=0), pb.ListRequest),
    (ListReply(executions=[VIEW], next_page_token="n"), pb.ListReply),
    (OutputsView(values={"o0": [1, {"x": None}], "o1": 2**62}, types={"o0": "list[int]"}), pb.OutputsView),
    (LogChunk(data=b"\xff\n", attempt=3), pb.LogChunk),
    (LeakView(key="k", execution="e", executor="x", attempt=1, state="unknown", since=2.0), pb.LeakView),
    (ExecutorView(id="x", task_types=["a", "b"], enabled=False), pb.ExecutorView),
    (ServerInfo(version="1", pid=2, started_at=3.0, home="/h"), pb.InfoReply),
]


@pytest.mark.parametrize(("value", "message"), FULL, ids=lambda value: type(value).__name__)
def test_a_struct_comes_back_from_its_bytes_as_it_was(value: msgspec.Struct, message: type[Message]) -> None:
    data = encode(value, message()).SerializeToString()

    back = decode(message.FromString(data), type(value))

    assert back == value


@pytest.mark.parametrize(("value", "message"), FULL, ids=lambda value: type(value).__name__)
def test_the_proto_has_the_fields_of_the_struct_and_no_others(value: msgspec.Struct, message: type[Message]) -> None:
    names = {field.name.removesuffix("_json") for field in message.DESCRIPTOR.fields}

    assert names == set(value.__struct_fields__)


def test_the_phases_have_the_numbers_that_are_stored() -> None:
    numbers = {value.name.removeprefix("PHASE_"): value.number for value in pb.Phase.DESCRIPTOR.values}

    assert numbers == {phase.name: phase.value for phase in Phase}


def test_a_phase_of_a_newer_peer_is_read_as_undefined() -> None:
    message = encode(VIEW, pb.ExecutionView())
    message.phase = 99  # type: ignore[assignment]

    assert decode(message, ExecutionView).phase is Phase.UNDEFINED


def test_a_struct_field_that_the_proto_lacks_is_an_error_that_names_it() -> None:
    class Wider(msgspec.Struct):
        execution: str = ""
        colour: str = ""

    with pytest.raises(TypeError, match="colour"):
        encode(Wider(), pb.GetRequest())


def test_json_that_is_none_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(pb.SubmitRequest(template=b"t", overrides_json="{"), SubmitRequest)
