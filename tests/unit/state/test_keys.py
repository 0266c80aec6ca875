from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airscrew.idl.ids import AttemptKey, ExecutionId
from airscrew.state import keys
from airscrew.state.store import prefix_end

names = st.from_regex(r"[a-z0-9]([-a-z0-9._]{0,30}[a-z0-9])?", fullmatch=True)
executions = st.builds(ExecutionId, names, names)


@given(executions)
def test_every_key_of_an_execution_tells_whose_it_is(execution: ExecutionId) -> None:
    assert keys.execution_of(keys.spec_key(execution)) == execution
    assert keys.execution_of(keys.record_key(execution)) == execution
    assert keys.execution_of(keys.request_key(execution, "kill")) == execution


@given(executions, st.integers(0, 10_000))
def test_a_request_tells_what_it_asks_for(execution: ExecutionId, item: int) -> None:
    assert keys.request_of(keys.request_key(execution, f"child-{item}")) == f"child-{item}"


@given(executions)
def test_every_key_of_an_execution_carries_its_shard(execution: ExecutionId) -> None:
    shard = keys.shard_text(execution.shard)
    made = [
        keys.spec_key(execution),
        keys.record_key(execution),
        keys.request_prefix(execution),
        keys.child_prefix(execution),
        keys.ledger_key(execution, AttemptKey("a1")),
    ]

    assert {key.split("/")[1] for key in made} == {shard}


@given(executions, executions)
def test_the_ranges_of_two_executions_never_overlap(one: ExecutionId, other: ExecutionId) -> None:
    for prefix in (keys.request_prefix, keys.child_prefix):
        start, end = prefix(one), prefix_end(prefix(one))
        assert (start <= prefix(other) < end) == (one == other)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**48 - 1)), max_size=20))
def test_events_sort_by_life_and_then_by_number(numbers: list[tuple[int, int]]) -> None:
    made = [keys.event_key(*number) for number in numbers]

    assert sorted(made) == [keys.event_key(*number) for number in sorted(numbers)]


def test_children_sort_by_their_number() -> None:
    parent = ExecutionId("default", "p")
    made = [keys.child_key(parent, item) for item in (2, 10, 100)]

    assert made == sorted(made)


def test_a_dead_letter_keeps_the_place_of_its_event() -> None:
    assert keys.dead_event_key("file", keys.event_key(1, 2)) == "dead/file/00000001/000000000002"


@pytest.mark.parametrize("key", ["ledger/00/a", "spec/00/x", "meta/time", ""])
def test_other_keys_name_no_execution(key: str) -> None:
    with pytest.raises(ValueError, match=r"names no execution|not enough values"):
        keys.execution_of(key)


@pytest.mark.parametrize("shard", [-1, 256])
def test_there_are_256_shards(shard: int) -> None:
    with pytest.raises(ValueError, match=r"is not in 0\.\.255"):
        keys.shard_text(shard)
