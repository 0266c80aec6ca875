"""
What so many tasks that wait at once cost: memory, lag of the loop, processors while nothing happens.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from airscrew.engine.api.model import SubmitRequest
from airscrew.engine.bench.rig import Lag, bench_engine, cpu_seconds, now, rss_mb, submit_all, until_under_control
from airscrew.state import keys
from airscrew.state.store import Put

if TYPE_CHECKING:
    from airscrew.engine.bench import BenchOptions
    from airscrew.engine.core import Core

SUBMITTERS = 128
SLEEP_SECONDS = 3600
QUIET_SECONDS = 3.0


async def measure(options: BenchOptions) -> dict[str, object]:
    """Measure; see ``airscrew bench inflight``."""
    async with bench_engine(options) as (core, store):
        before = rss_mb()
        started, used = now(), cpu_seconds()
        await start_sleeps(core, options.tasks)
        elapsed, used = now() - started, cpu_seconds() - used
        lag = Lag()
        async with asyncio.TaskGroup() as group:
            sampler = group.create_task(lag.run())
            await asyncio.sleep(QUIET_SECONDS)
            sampler.cancel()
        idle = cpu_seconds()  # apart from that: two hundred looks a second are more work than the engine has
        await asyncio.sleep(QUIET_SECONDS)
        idle = cpu_seconds() - idle
        started = now()
        async with asyncio.TaskGroup() as group:
            for number in range(options.tasks):
                group.create_task(store.txn([], [Put(f"{keys.SCHEMA}/limit/{number}", b"x" * 500)]))
        limit = options.tasks / (now() - started)
    rate = options.tasks / elapsed
    return {
        "tasks": options.tasks,
        "tasks_per_s": round(rate, 1),
        "cpu_ms_per_task": round(used * 1000 / options.tasks, 4),
        "rss_mb": rss_mb(),
        "rss_before_mb": before,
        "idle_cpu_percent": round(100 * idle / QUIET_SECONDS, 2),
        "loop_lag_p50_ms": lag.percentile(0.5),
        "loop_lag_p99_ms": lag.percentile(0.99),
        "loop_lag_max_ms": lag.percentile(1.0),
        "limit_per_s": round(limit, 1),
        "ratio": round(rate / limit, 4),
    }


async def start_sleeps(core: Core, tasks: int) -> None:
    """Start so many sleeps of an hour, and wait until every one runs."""
    from datetime import timedelta

    from airscrew.idl.literals import encode_literal_map, from_json, literal_type_of
    from airscrew.idl.template.build import make_template
    from airscrew.idl.wire import WireForm

    template = make_template("core-sleep", inputs={"duration": timedelta}, name="bench.sleep").raw
    duration = from_json(SLEEP_SECONDS, literal_type_of(timedelta), "duration")
    inputs = encode_literal_map({"duration": duration}, WireForm.FLYTE1)
    requests = (SubmitRequest(name=f"sleep-{number}", template=template, inputs=inputs) for number in range(tasks))
    await submit_all(core, requests, SUBMITTERS)
    await until_under_control(core, tasks)
