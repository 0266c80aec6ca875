"""
How long a change of a Pod takes until its phase is recorded, with many Pods in flight, and what watching them takes.

The Pods are for a scheduler that is not there, so nobody but this program changes them: it writes that one runs, so
many times a second, as a kubelet does, and looks when the engine has written the phase to its store.
"""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, cast

import msgspec

from airscrew.engine.api.model import SubmitRequest
from airscrew.engine.bench.pods import BarePods, open_bare, pod_engine, pod_spec, pod_template
from airscrew.engine.bench.rig import cpu_seconds, now, rss_mb
from airscrew.idl.phase import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airscrew.engine.bench import BenchOptions, PodOptions
    from airscrew.engine.controller.live import Live
    from airscrew.engine.core import Core

AT_ONCE = 64
"""How many are submitted and killed at once."""


async def measure(options: BenchOptions) -> dict[str, object]:
    """Measure; see ``airscrew bench pod-events``."""
    pods = options.pods
    spec = pod_spec(pods)
    async with pod_engine(options, scheduler_name="nobody") as (core, _, _), open_bare(pods, spec) as bare:
        before = rss_mb()
        names = await _start(core, pods)
        gc.collect()
        watched = rss_mb()
        used, started = cpu_seconds(), now()
        from_request, from_reply = await _change(core, bare, pods, names)
        used, elapsed = cpu_seconds() - used, now() - started
        after = rss_mb()
        await _end(core, names)
    return {
        "pods": len(names),
        "events": len(from_reply),
        "events_per_s": round(len(from_reply) / elapsed, 1),
        "event_p50_ms": _percentile(from_reply, 0.5),
        "event_p99_ms": _percentile(from_reply, 0.99),
        "with_api_server_p50_ms": _percentile(from_request, 0.5),
        "with_api_server_p99_ms": _percentile(from_request, 0.99),
        "cpu_percent": round(100 * used / elapsed, 1),
        "rss_before_mb": before,
        "rss_watched_mb": watched,
        "rss_mb": after,
    }


async def _start(core: Core, pods: PodOptions) -> list[str]:
    """Submit so many, and return their names when each has its Pod."""
    template = pod_template(pod_spec(pods))
    slots, left = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(0)
    waiting = {f"{pods.namespace}/event-{number}" for number in range(pods.in_flight)}
    names = sorted(waiting)

    def changed(live: Live) -> None:
        if live.record.created and str(live.execution) in waiting:
            waiting.discard(str(live.execution))
            slots.release()
            left.release()

    core.controller.on_change = changed
    async with asyncio.TaskGroup() as group:
        for name in names:
            await slots.acquire()
            request = SubmitRequest(namespace=pods.namespace, name=name.rpartition("/")[2], template=template)
            group.create_task(core.api.submit(request))
        for _ in names:
            await left.acquire()
    return names


async def _change(core: Core, bare: BarePods, pods: PodOptions, names: list[str]) -> tuple[list[float], list[float]]:
    """Let Pods run, at a steady pace; return how long each took to be recorded, from the request and the reply on."""
    recorded: dict[str, float] = {}
    done = asyncio.Semaphore(0)

    def changed(live: Live) -> None:
        name = str(live.execution)
        if live.record.phase is Phase.RUNNING and name not in recorded:
            recorded[name] = now()
            done.release()

    lives = {str(live.execution): _pod_of(live) for live in _lives(core, names)}
    core.controller.on_change = changed
    chosen = names[: pods.events]
    times: dict[str, tuple[float, float]] = {}

    async def say(name: str) -> None:
        asked = now()
        await bare.say(lives[name], {"phase": "Running"})
        times[name] = (asked, now())

    began = now()
    async with asyncio.TaskGroup() as group:
        for number, name in enumerate(chosen):
            await asyncio.sleep(max(began + number / pods.rate - now(), 0.0))
            group.create_task(say(name))
        for _ in chosen:
            await done.acquire()
    return (
        [recorded[name] - times[name][0] for name in chosen],
        [max(recorded[name] - times[name][1], 0.0) for name in chosen],
    )


async def _end(core: Core, names: list[str]) -> None:
    """Kill all, and wait until their Pods are gone."""
    slots, left = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(0)

    def over(live: object) -> None:
        del live
        slots.release()
        left.release()

    core.controller.on_change = lambda _live: None
    core.controller.on_done = over
    async with asyncio.TaskGroup() as group:
        for name in names:
            await slots.acquire()
            group.create_task(core.api.kill(name, "the measurement is over"))
        for _ in names:
            await left.acquire()


def _lives(core: Core, names: list[str]) -> list[Live]:
    from airscrew.idl.ids import ExecutionId

    found = [core.controller.live(ExecutionId.parse(name)) for name in names]
    return [live for live in found if live is not None]


def _pod_of(live: Live) -> str:
    state = cast("Mapping[str, str]", msgspec.json.decode(bytes(live.record.state)))
    return state["name"]


def _percentile(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds) or [0.0]
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)
