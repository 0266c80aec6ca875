from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airscrew.idl import phase as phase_module
from airscrew.idl.phase import TRANSITIONS, LogLink, Phase, Reason, TaskInfo, may_follow

TERMINAL = {Phase.SUCCESS, Phase.RETRYABLE_FAILURE, Phase.PERMANENT_FAILURE, Phase.ABORTED}
HAPPY_PATH = [
    Phase.NOT_READY,
    Phase.WAITING_FOR_RESOURCES,
    Phase.QUEUED,
    Phase.INITIALIZING,
    Phase.RUNNING,
    Phase.SUCCESS,
]

phases = st.sampled_from(Phase)


def test_the_numbers_are_those_of_flyteplugins():
    numbers = {phase.title: int(phase) for phase in Phase}

    assert numbers == {
        "Undefined": 0,
        "NotReady": 1,
        "WaitingForResources": 2,
        "Queued": 3,
        "Initializing": 4,
        "Running": 5,
        "Success": 6,
        "RetryableFailure": 7,
        "PermanentFailure": 8,
        "WaitingForCache": 9,
        "Aborted": 10,
    }


@given(phases)
def test_a_phase_is_read_back_from_its_title_in_any_case(phase):
    assert Phase.from_title(phase.title) is phase
    assert Phase.from_title(phase.name) is phase
    assert Phase.from_title(phase.title.lower()) is phase


def test_a_title_that_no_phase_has_is_refused_with_the_choice():
    with pytest.raises(ValueError, match=r"no phase is called 'Done': one of Undefined, .*, Aborted"):
        Phase.from_title("Done")


def test_the_table_has_a_row_for_every_phase():
    assert set(TRANSITIONS) == set(Phase)


@given(phases)
def test_exactly_four_phases_are_terminal(phase):
    assert phase.is_terminal == (phase in TERMINAL)


@given(phases)
def test_only_failures_of_the_attempt_itself_are_failures(phase):
    assert phase.is_failure == (phase in {Phase.RETRYABLE_FAILURE, Phase.PERMANENT_FAILURE})


@given(phases, phases)
def test_nothing_follows_a_terminal_phase(before, after):
    assert not (before.is_terminal and may_follow(before, after))


@given(phases)
def test_every_live_phase_can_end_in_every_terminal_one(before):
    assert before.is_terminal or all(may_follow(before, end) for end in TERMINAL)


@given(phases)
def test_nothing_becomes_undefined(before):
    assert not may_follow(before, Phase.UNDEFINED)


@given(phases)
def test_a_live_phase_may_be_reported_again_with_a_new_version(phase):
    assert may_follow(phase, phase) == (not phase.is_terminal and phase is not Phase.UNDEFINED)


@given(st.integers(0, 5), st.integers(0, 5))
def test_forward_skips_are_legal(first, second):
    before, after = sorted((first, second))
    if before == after:
        return

    assert may_follow(HAPPY_PATH[before], HAPPY_PATH[after])


@given(st.integers(0, 4), st.integers(0, 4))
def test_a_step_back_is_legal_only_to_waiting_and_queued(first, second):
    after, before = sorted((first, second))
    if before == after:
        return
    legal = HAPPY_PATH[after] in {Phase.WAITING_FOR_RESOURCES, Phase.QUEUED}

    assert may_follow(HAPPY_PATH[before], HAPPY_PATH[after]) == legal


@pytest.mark.parametrize("begun", [Phase.INITIALIZING, Phase.RUNNING])
def test_what_has_begun_does_not_wait_for_the_cache(begun):
    assert not may_follow(begun, Phase.WAITING_FOR_CACHE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("NotReady", "WaitingForResources"),
        ("WaitingForResources", "Queued"),
        ("Queued", "WaitingForResources"),
        ("Queued", "Initializing"),
        ("Initializing", "Running"),
        ("Running", "Success"),
        ("WaitingForCache", "Queued"),
        ("Queued", "WaitingForCache"),
        ("Running", "RetryableFailure"),
        ("Running", "PermanentFailure"),
        ("Running", "Aborted"),
    ],
)
def test_every_arrow_of_the_documented_diagram_is_legal(before, after):
    assert before in (phase_module.__doc__ or "")
    assert may_follow(Phase.from_title(before), Phase.from_title(after))


def test_what_is_told_with_a_phase_survives_its_json_form():
    info = TaskInfo(
        logs=(LogLink(name="log", uri="file:/x", hide_once_finished=True),),
        progress=0.5,
        reasons=(Reason(reason="pulled", occurred_at=1.0),),
    )

    assert msgspec.json.decode(msgspec.json.encode(info), type=TaskInfo) == info


def test_an_empty_info_costs_nothing_in_the_store():
    assert msgspec.json.encode(TaskInfo()) == b"{}"
