"""
How long an engine takes until all that is unfinished is under its control again, beside much that is over.

What runs is submitted and started as by users; what is over is written as an engine writes it, from one that was.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from airscrew.engine.api.model import SubmitRequest
from airscrew.engine.bench.inflight import start_sleeps
from airscrew.engine.bench.rig import (
    bench_engine,
    cpu_seconds,
    echo_template,
    integer_inputs,
    now,
    rss_mb,
    until_under_control,
)
from airscrew.idl.ids import ExecutionId
from airscrew.state import keys
from airscrew.state.store import Operation, Put, Store

if TYPE_CHECKING:
    from airscrew.engine.bench import BenchOptions
    from airscrew.engine.core import Core

MODEL = ExecutionId("default", "model")
WRITERS = 8
TOGETHER = 50
"""So many that are over are written by one transaction: two keys each."""


async def measure(options: BenchOptions) -> dict[str, object]:
    """Measure; see ``airscrew bench reopen``."""
    async with bench_engine(options) as (core, store):
        await _run_model(core)
        await start_sleeps(core, options.tasks)
        await _write_finished(store, options.finished)
    started, used = now(), cpu_seconds()
    async with bench_engine(options) as (core, _):
        begun = now() - started
        await until_under_control(core, options.tasks)
        elapsed, used = now() - started, cpu_seconds() - used
        return {
            "tasks": options.tasks,
            "finished": options.finished,
            "begun_s": round(begun, 3),
            "under_control_s": round(elapsed, 3),
            "cpu_ms_per_task": round(used * 1000 / options.tasks, 4),
            "rss_mb": rss_mb(),
        }


async def _run_model(core: Core) -> None:
    """Run the one that the others are written from."""
    await core.api.submit(SubmitRequest(name=MODEL.name, template=echo_template(), inputs=integer_inputs(1)))
    while core.controller.unfinished or core.controller.ready:  # noqa: ASYNC110 - a poll, as above
        await asyncio.sleep(0.02)


async def _write_finished(store: Store, count: int) -> None:
    """Write so many executions that are over."""
    spec, record = await store.get(keys.spec_key(MODEL)), await store.get(keys.record_key(MODEL))
    assert spec is not None
    assert record is not None
    starts = iter(range(0, count, TOGETHER))

    async def write() -> None:
        for start in starts:
            names = [
                ExecutionId(MODEL.namespace, f"over-{number}") for number in range(start, min(start + TOGETHER, count))
            ]
            operations: list[Operation] = [Put(keys.spec_key(name), spec.value) for name in names]
            await store.txn([], operations + [Put(keys.record_key(name), record.value) for name in names])

    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(write())
