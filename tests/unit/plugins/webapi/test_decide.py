from __future__ import annotations

import pytest

from airscrew.engine.executor import TaskStatus
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import ExternalResource, LogLink, Phase, TaskInfo
from airscrew.plugins.webapi import JobState
from airscrew.plugins.webapi.decide import (
    KillStep,
    Watched,
    after_kill,
    gone_status,
    kill_step,
    seen,
    with_job,
    with_trouble,
)

STATE = JobState(id="j1", created_at=1.0)
STOPPING = JobState(id="j1", created_at=1.0, stopping=True)


def test_an_absence_counts_only_once_the_job_would_be_visible() -> None:
    watched: Watched[JobState, str] = Watched(STATE, settled_at=10.0, view="busy")

    assert seen(watched, None, 9.0) is watched
    assert seen(watched, None, 10.0).missing == 1


def test_a_job_is_gone_when_it_is_missed_twice_in_a_row() -> None:
    watched: Watched[JobState, str] = Watched(STATE, settled_at=0.0)

    once = seen(watched, None, 1.0)
    found = seen(once, "busy", 2.0)
    twice = seen(seen(found, None, 3.0), None, 4.0)

    assert [one.is_gone for one in (once, found, twice)] == [False, False, True]


def test_a_job_is_gone_only_when_it_is_missed_for_longer_than_its_provider_may_be_behind() -> None:
    watched: Watched[JobState, str] = Watched(STATE, settled_at=0.0, visibility_seconds=30.0)
    views = []
    for now in (1.0, 2.0, 30.0, 31.0):
        watched = seen(watched, None, now)
        views.append(watched.is_gone)

    assert views == [False, False, False, True]
    assert "no job j1 any more, for 30 s" in gone_status("p", watched, STATE).reason


def test_a_job_that_somebody_deleted_is_a_failure_of_the_systems() -> None:
    watched: Watched[JobState, str] = Watched(STATE, settled_at=0.0)

    status = gone_status("p", watched, STATE)

    assert status.phase is Phase.RETRYABLE_FAILURE
    assert status.error is not None
    assert (status.error.code, status.error.kind) == ("ResourceDeletedExternally", ErrorKind.SYSTEM)


def test_trouble_is_shown_and_changes_no_phase() -> None:
    status = with_trouble(TaskStatus.running(STATE, "on it"), "no connection")

    assert status.phase is Phase.RUNNING
    assert status.reason == "on it; not heard of it since: no connection"


def test_an_end_is_told_without_trouble() -> None:
    assert with_trouble(TaskStatus.success(STATE), "no connection").reason == ""


def test_the_job_and_its_links_are_shown() -> None:
    link = LogLink(name="Console", uri="http://c")

    info = with_job(TaskStatus.running(STATE), [link]).info

    assert info.logs == (link,)
    assert info.external_resources == (ExternalResource(external_id="j1", phase=Phase.RUNNING, logs=(link,)),)


def test_what_the_plugin_shows_itself_stays() -> None:
    own = TaskInfo(external_resources=(ExternalResource(external_id="own"),), logs=(LogLink(name="a", uri="b"),))

    assert with_job(TaskStatus.running(STATE).with_info(own), own.logs).info == own


@pytest.mark.parametrize(
    ("state", "can_stop", "step"),
    [(STATE, True, KillStep.STOP), (STOPPING, True, KillStep.LOOK), (STATE, False, KillStep.LOOK)],
)
def test_a_kill_stops_and_looks_in_turns(state: JobState, can_stop: bool, step: KillStep) -> None:
    assert kill_step(state, can_stop=can_stop) is step


@pytest.mark.parametrize(
    ("state", "step", "over", "absent", "settled", "later"),
    [
        (STATE, KillStep.STOP, True, False, True, None),
        (STATE, KillStep.STOP, False, False, True, STOPPING),
        (STOPPING, KillStep.LOOK, False, False, True, STATE),
        (STOPPING, KillStep.LOOK, True, False, True, None),
        (STOPPING, KillStep.LOOK, False, True, True, None),
        (STATE, KillStep.STOP, False, True, True, None),
        (STATE, KillStep.STOP, False, True, False, STATE),
        (STATE, KillStep.LOOK, False, True, False, STATE),
    ],
)
def test_a_kill_goes_on_until_the_provider_says_that_the_job_is_over(
    state: JobState, step: KillStep, over: bool, absent: bool, settled: bool, later: JobState | None
) -> None:
    assert after_kill(state, step, is_over=over, is_absent=absent, is_settled=settled) == later
