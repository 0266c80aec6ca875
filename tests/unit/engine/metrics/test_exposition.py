"""Numbers as Prometheus reads them: judged by its own parser."""

from __future__ import annotations

import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from airscrew.engine.metrics import NO_METERS, Recorder, Sample
from airscrew.engine.metrics.exposition import render
from airscrew.engine.metrics.names import (
    CALL_ERRORS,
    CALL_SECONDS,
    EXECUTIONS,
    LOOP_HELD,
    QUEUE_DEPTH,
    STORE_SECONDS,
    TURN_FAILURES,
    TURN_SECONDS,
)
from airscrew.idl.errors import UsageError

Read = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(data: bytes) -> Read:
    """Read every sample as Prometheus does."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(data.decode())
        for sample in family.samples
    }


def test_counters_and_histograms_are_read_back() -> None:
    recorder = Recorder()
    recorder.count(TURN_FAILURES)
    recorder.count(TURN_FAILURES, amount=2)
    recorder.count(CALL_ERRORS, "pod", "start", "system")
    for seconds in (0.0004, 0.03, 99.0):
        recorder.observe(STORE_SECONDS, seconds, "txn")

    found = read(render(recorder, [], process=False))

    assert found["airscrew_turn_failures_total", ()] == 3
    labels = (("call", "start"), ("executor", "pod"), ("kind", "system"))
    assert found["airscrew_call_errors_total", labels] == 1
    txn = ("operation", "txn")
    assert found["airscrew_store_seconds_count", (txn,)] == 3
    assert found["airscrew_store_seconds_sum", (txn,)] == pytest.approx(99.0304)
    assert found["airscrew_store_seconds_bucket", (("le", "0.0005"), txn)] == 1
    assert found["airscrew_store_seconds_bucket", (("le", "0.05"), txn)] == 2
    assert found["airscrew_store_seconds_bucket", (("le", "10.0"), txn)] == 2
    assert found["airscrew_store_seconds_bucket", (("le", "+Inf"), txn)] == 3


def test_a_value_at_a_bound_is_in_that_bucket() -> None:
    recorder = Recorder()
    recorder.observe(TURN_SECONDS, TURN_SECONDS.buckets[0])

    found = read(render(recorder, [], process=False))

    assert found["airscrew_turn_seconds_bucket", (("le", str(TURN_SECONDS.buckets[0])),)] == 1


def test_samples_are_shown_as_they_stand() -> None:
    samples = [
        Sample(QUEUE_DEPTH, 7),
        Sample(EXECUTIONS, 2, ("pod", "Running")),
        Sample(EXECUTIONS, 1, ("pod", "Queued")),
        Sample(LOOP_HELD, 1.5, ("pod",)),
    ]

    found = read(render(Recorder(), samples, process=False))

    assert found == {
        ("airscrew_queue_depth", ()): 7,
        ("airscrew_executions", (("executor", "pod"), ("phase", "Running"))): 2,
        ("airscrew_executions", (("executor", "pod"), ("phase", "Queued"))): 1,
        ("airscrew_loop_held_seconds_total", (("executor", "pod"),)): 1.5,
    }


def test_what_the_process_uses_is_told_beside_it() -> None:
    assert ("process_resident_memory_bytes", ()) in read(render(Recorder(), []))


def test_a_label_that_is_missing_is_a_defect_that_is_named() -> None:
    recorder = Recorder()
    recorder.observe(CALL_SECONDS, 1.0, "pod")

    with pytest.raises(ValueError, match="airscrew_call_seconds has the labels"):
        render(recorder, [])


def test_without_the_library_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    with pytest.raises(UsageError, match=r"pip install 'airscrew\[metrics\]'"):
        render(Recorder(), [])


def test_the_sink_that_keeps_nothing_takes_what_a_recorder_takes() -> None:
    NO_METERS.count(CALL_ERRORS, "pod", "start", "system", amount=2)
    NO_METERS.observe(TURN_SECONDS, 1.0)

    assert not NO_METERS.are_kept
    assert Recorder().are_kept
