from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airscrew.engine.controller.codec import (
    MAX_STATE_BYTES,
    NewerStateError,
    decode_state,
    encode_state,
    raw_state,
)
from airscrew.engine.errors import CorruptStateError, StateTooLargeError
from airscrew.engine.executor import Executor, TaskStatus
from airscrew.idl.ids import Uid
from airscrew.state.records import NO_STATE, Record, decode_record, encode_record


@dataclass(frozen=True)
class Job:
    id: str = ""
    parts: tuple[int, ...] = ()


class Jobs(Executor[Job]):
    id = "jobs"
    task_types = ("job",)
    state_type = Job
    state_version = 2

    def start_task(self, context: Any, template: Any) -> TaskStatus[Job]:
        raise NotImplementedError

    def check_task_status(self, context: Any, state: Job) -> TaskStatus[Job]:
        raise NotImplementedError

    def migrate_state(self, state: Mapping[str, object], version: int) -> Mapping[str, object]:
        return {"id": f"{state['name']}-from-{version}"}


def stored(state: bytes, version: int = 2) -> Record:
    return Record(uid=Uid("u"), state=msgspec.Raw(state), state_version=version)


@given(st.text(max_size=100), st.lists(st.integers(-(2**53), 2**53), max_size=20))
def test_state_comes_back_as_it_was_through_a_stored_record(name: str, parts: list[int]) -> None:
    state = Job(name, tuple(parts))

    record = decode_record(encode_record(stored(bytes(encode_state(state, "jobs")))))

    assert decode_state(record, Jobs()) == state


def test_it_is_stored_as_the_json_that_it_is() -> None:
    data = encode_record(stored(bytes(encode_state(Job("j-1"), "jobs"))))

    assert msgspec.json.decode(data)["state"] == {"id": "j-1", "parts": []}


def test_state_over_the_limit_is_refused_with_its_size() -> None:
    with pytest.raises(StateTooLargeError, match=rf"takes \d+ bytes; the limit is {MAX_STATE_BYTES}"):
        encode_state(Job("x" * MAX_STATE_BYTES), "jobs")


def test_state_that_is_no_json_is_refused_by_the_name_of_its_executor() -> None:
    with pytest.raises(CorruptStateError, match="jobs cannot be written"):
        encode_state(object(), "jobs")


def test_an_older_version_is_migrated() -> None:
    assert decode_state(stored(b'{"name": "old"}', 1), Jobs()) == Job("old-from-1")


def test_a_newer_version_waits() -> None:
    with pytest.raises(NewerStateError, match="version 3"):
        decode_state(stored(b"{}", 3), Jobs())


@pytest.mark.parametrize(("data", "version"), [(b"{", 2), (b'{"parts": "no"}', 2), (b"{}", 1), (b"[1]", 1)])
def test_garbage_and_failed_migrations_concern_this_execution_alone(data: bytes, version: int) -> None:
    with pytest.raises(CorruptStateError, match="does not decode"):
        decode_state(stored(data, version), Jobs())


def test_raw_state_is_a_plain_map_and_empty_before_the_first_one() -> None:
    assert raw_state(stored(b'{"id": "a", "new": 1}')) == {"id": "a", "new": 1}
    assert raw_state(Record(uid=Uid("u"), state=NO_STATE)) == {}
    with pytest.raises(CorruptStateError):
        raw_state(stored(b"[]"))
