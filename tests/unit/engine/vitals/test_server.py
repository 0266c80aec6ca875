"""Vitals over HTTP, asked by a client that knows nothing of us."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from http.client import HTTPConnection

import pytest
from prometheus_client.parser import text_string_to_metric_families

from airscrew.engine.metrics import Recorder, Sample
from airscrew.engine.metrics.names import QUEUE_DEPTH, TURN_FAILURES
from airscrew.engine.vitals import Instruments, Vitals
from airscrew.engine.vitals import server as serving
from airscrew.engine.vitals.server import serving_vitals
from airscrew.idl.errors import UsageError

Ask = Callable[[str], Coroutine[object, object, tuple[int, str]]]


@pytest.fixture
def instruments() -> Instruments:
    return Instruments(vitals=Vitals(monotonic=time.monotonic), meters=Recorder())


@pytest.fixture
async def port(instruments: Instruments) -> AsyncIterator[int]:
    async with serving_vitals("127.0.0.1", 0, instruments) as bound:
        yield bound


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def ask(port: int) -> Ask:
    return lambda path: asyncio.to_thread(get, port, path)


async def test_a_probe_is_answered_in_one_line(instruments: Instruments, ask: Ask) -> None:
    assert await ask("/livez") == (200, "the loop runs\n")
    assert await ask("/startupz") == await ask("/readyz") == (503, "not begun: the engine is starting\n")

    instruments.vitals.has_begun = True

    assert await ask("/readyz") == (200, "ready\n")
    assert (await ask("/startupz"))[0] == 200


async def test_metrics_are_told_from_what_was_counted_and_how_things_stand(instruments: Instruments, ask: Ask) -> None:
    instruments.meters.count(TURN_FAILURES, amount=3)
    instruments.looks = [lambda: [Sample(QUEUE_DEPTH, 5)]]

    status, text = await ask("/metrics")

    assert status == 200
    found = {one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples}
    assert found["airscrew_turn_failures_total"] == 3
    assert found["airscrew_queue_depth"] == 5
    assert found["airscrew_ready"] == 0
    assert found["process_resident_memory_bytes"] > 1e6


async def test_without_prometheus_the_answer_says_what_is_missing(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    assert await ask("/metrics") == (501, "metrics need prometheus-client: pip install 'airscrew[metrics]'\n")
    assert (await ask("/livez"))[0] == 200


async def test_an_engine_whose_loop_stands_still_says_so(
    instruments: Instruments, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "LOOK_SECONDS", 0.1)
    instruments.vitals.beat_at -= 40.0
    # This test's own loop is the engine's, and it waits here without letting anything run.
    found = [get(port, path) for path in ("/livez", "/metrics")]

    assert found[0] == (503, "the loop has not run for 40 s\n")
    assert found[1] == (503, "the engine's loop does not answer\n")


async def test_a_defect_in_a_gauge_fails_one_answer_alone(instruments: Instruments, ask: Ask) -> None:
    def broken() -> Iterable[Sample]:
        raise KeyError("gauge")

    instruments.looks = [broken]
    assert (await ask("/metrics"))[0] == 500

    instruments.looks = []
    assert (await ask("/metrics"))[0] == 200


async def test_nothing_else_is_served(port: int) -> None:
    assert (await asyncio.to_thread(get, port, "/"))[0] == 404
    assert (await asyncio.to_thread(get, port, "/readyz", "POST"))[0] == 405


async def test_a_port_that_is_taken_is_named(port: int, instruments: Instruments) -> None:
    with pytest.raises(UsageError, match=rf"health\.address 127\.0\.0\.1:{port} cannot be listened on: .*in use"):
        async with serving_vitals("127.0.0.1", port, instruments):
            pass


async def test_without_aiohttp_one_line_says_how_to_get_it(
    instruments: Instruments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)

    with pytest.raises(UsageError, match=r"health\.address needs aiohttp: pip install 'airscrew\[metrics\]'"):
        async with serving_vitals("127.0.0.1", 0, instruments):
            pass


async def test_its_thread_ends_with_it(instruments: Instruments) -> None:
    async with serving_vitals("127.0.0.1", 0, instruments):
        assert "vitals" in {thread.name for thread in threading.enumerate()}

    assert "vitals" not in {thread.name for thread in threading.enumerate()}
