"""Whether an engine has begun, lives, and is ready: what follows from what is known of it."""

from __future__ import annotations

import pytest

from airscrew.engine.metrics import Sample
from airscrew.engine.metrics.names import QUEUE_DEPTH
from airscrew.engine.vitals import Answer, Instruments, Vitals
from airscrew.engine.vitals.state import STILL_SECONDS


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def vitals(time: Time) -> Vitals:
    return Vitals(monotonic=time)


def test_an_engine_that_starts_lives_and_is_not_ready(vitals: Vitals) -> None:
    assert vitals.live().is_yes
    assert vitals.startup() == vitals.ready() == Answer(False, "not begun: the engine is starting")


def test_an_engine_that_waits_for_its_store_says_why(vitals: Vitals) -> None:
    vitals.waits_for = "the store etcd://e/a does not let us in"

    assert vitals.ready() == Answer(False, "not begun: the store etcd://e/a does not let us in")
    assert vitals.live().is_yes


def test_an_engine_that_has_begun_is_ready(vitals: Vitals) -> None:
    vitals.has_begun = True

    assert vitals.startup().is_yes
    assert vitals.ready() == Answer(True, "ready")


def test_without_its_store_it_is_not_ready_and_lives(vitals: Vitals) -> None:
    vitals.has_begun, vitals.store_trouble = True, "the store does not answer"

    assert vitals.ready() == Answer(False, "the store does not answer")
    assert vitals.startup().is_yes
    assert vitals.live().is_yes


def test_an_engine_that_drains_is_not_ready_whatever_else(vitals: Vitals) -> None:
    vitals.has_begun = vitals.is_draining = True

    assert vitals.ready() == Answer(False, "draining: the engine was told to stop")
    assert vitals.live().is_yes


def test_a_loop_that_stands_still_is_neither_alive_nor_ready(vitals: Vitals, time: Time) -> None:
    vitals.has_begun = True
    time.now += STILL_SECONDS

    assert vitals.live().is_yes
    time.now += 1.0
    assert vitals.live() == vitals.ready() == Answer(False, "the loop has not run for 31 s")


def test_metrics_tell_of_an_engine_that_is_not_there_yet(vitals: Vitals) -> None:
    instruments = Instruments(vitals=vitals, looks=[lambda: [Sample(QUEUE_DEPTH, 3)]])

    before = {sample.metric.name: sample.value for sample in instruments.samples()}
    vitals.has_begun = True
    after = {sample.metric.name: sample.value for sample in instruments.samples()}

    assert before["airscrew_ready"] == before["airscrew_store_up"] == 0
    assert after["airscrew_ready"] == after["airscrew_store_up"] == 1
    assert after["airscrew_queue_depth"] == 3
