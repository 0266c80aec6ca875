"""
Tasks a second from submission to the end, beside what the store alone can write.

The limit is taken in the same run on the same store: a bare loop that writes as many bytes as the tasks did, in
groups, as fast as the store takes them. The outputs of every task are read back and compared.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from airscrew.engine.bench.rig import Lag, bench_engine, cpu_seconds, now, rss_mb, run_echoes
from airscrew.state import keys
from airscrew.state.store import Put, Store, prefix_end

if TYPE_CHECKING:
    from airscrew.engine.bench import BenchOptions
    from airscrew.engine.core import Core

SUBMITTERS = 128


async def measure(options: BenchOptions) -> dict[str, object]:
    """Measure; see ``airscrew bench engine``."""
    async with bench_engine(options) as (core, store):
        await run_echoes(core, "warm", min(options.tasks, 100), SUBMITTERS)
        lag = Lag()
        async with asyncio.TaskGroup() as group:
            sampler = group.create_task(lag.run())
            before = (await store.status()).revision
            started, used = now(), cpu_seconds()
            await run_echoes(core, "task", options.tasks, SUBMITTERS)
            elapsed, used = now() - started, cpu_seconds() - used
            revisions = (await store.status()).revision - before
            sampler.cancel()
        await _compare(core, options.tasks)
        limit = await _limit(store, options.tasks)
    rate = options.tasks / elapsed
    return {
        "tasks": options.tasks,
        "seconds": round(elapsed, 3),
        "tasks_per_s": round(rate, 1),
        "cpu_ms_per_task": round(used * 1000 / options.tasks, 4),
        "revisions_per_task": round(revisions / options.tasks, 3),
        "rss_mb": rss_mb(),
        "loop_lag_p50_ms": lag.percentile(0.5),
        "loop_lag_p99_ms": lag.percentile(0.99),
        "limit_per_s": round(limit, 1),
        "ratio": round(rate / limit, 4),
    }


async def _compare(core: Core, tasks: int) -> None:
    """Read every output back; a wrong one ends the measurement."""
    for number in range(tasks):
        values = (await core.api.outputs(f"default/task-{number}")).values
        if values != {"o0": number}:
            raise RuntimeError(f"task-{number} has the outputs {values} and should have {{'o0': {number}}}")


async def _limit(store: Store, tasks: int) -> float:
    """Write as many bytes for as many tasks by a bare loop, in two transactions a task, and return tasks a second."""
    spec = await store.range(keys.SPECS, prefix_end(keys.SPECS), limit=1)
    record = await store.range(keys.RECORDS, prefix_end(keys.RECORDS), limit=1)
    first, second = spec.items[0].value, record.items[0].value
    numbers = iter(range(tasks))

    async def write() -> None:
        for number in numbers:
            await store.txn([], [Put(f"limit/spec/{number}", first), Put(f"limit/request/{number}", b"{}")])
            await store.txn([], [Put(f"limit/record/{number}", second), Put(f"limit/event/{number}", second)])

    started = now()
    async with asyncio.TaskGroup() as group:
        for _ in range(SUBMITTERS):
            group.create_task(write())
    return tasks / (now() - started)
