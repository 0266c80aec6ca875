"""
What is left of tasks that were collected: the size of a store in use before a hundred thousand tasks and after.

A store that holds some tasks that are over takes as many again as are asked for, and collects all but the first
number. What it holds is then what it held; its size in use is compared when the history of writes is compacted and
the store has come to rest.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airscrew.engine.bench import BenchOptions
from airscrew.engine.bench.rig import bench_engine, cpu_seconds, run_echoes
from airscrew.state.store import Store

SUBMITTERS = 128
REST_SECONDS = 3.0
"""A store whose size has not changed for so long has come to rest."""

LIMIT_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    What is done.

    Attributes:
        kept: How many tasks lie in the store before and after.
        tasks: How many come and go.
        store: The store's URL.
    """

    kept: int
    tasks: int
    store: str


def collection(folder: Path, plan: Plan, tell: Callable[[str], None] = lambda _: None) -> dict[str, object]:
    """Do it, and return the figures."""
    return asyncio.run(_collection(folder, plan, tell))


async def _collection(folder: Path, plan: Plan, tell: Callable[[str], None]) -> dict[str, object]:
    async with bench_engine(BenchOptions(store=plan.store, directory=str(folder))) as (core, store):
        await run_echoes(core, "before", plan.kept, SUBMITTERS)
        before = await _size_at_rest(store)
        tell(f"{plan.kept} tasks: {before / 1e6:.1f} MB")
        await run_echoes(core, "task", plan.tasks, SUBMITTERS)
        most = (await store.status()).in_use_bytes
        tell(f"{plan.tasks} more: {most / 1e6:.1f} MB")
        began, used = time.monotonic(), cpu_seconds()
        gone = await core.api.pruner.collect(ended_before=math.inf, keep=plan.kept)
        seconds, used = time.monotonic() - began, cpu_seconds() - used
        after = await _size_at_rest(store)
        tell(f"{gone} collected: {after / 1e6:.1f} MB")
    return {
        "collected": gone,
        "in_use_mb_before": round(before / 1e6, 2),
        "in_use_mb_most": round(most / 1e6, 2),
        "in_use_mb_after": round(after / 1e6, 2),
        "after_by_before": round(after / before, 3),
        "collected_per_s": round(gone / seconds, 1),
        "cpu_ms_per_collected": round(used * 1000 / gone, 4),
    }


async def _size_at_rest(store: Store) -> int:
    """Compact all history, that of events which are erased late too, and return the size when it no longer changes."""
    size, since, end = -1, 0.0, time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < end:
        status = await store.status()
        if status.compacted < status.revision:
            await store.compact(status.revision)
        if status.in_use_bytes != size:
            size, since = status.in_use_bytes, time.monotonic()
        elif time.monotonic() > since + REST_SECONDS:
            return size
        await asyncio.sleep(0.2)
    raise RuntimeError(f"the store's size still changes after {LIMIT_SECONDS:g} s: {size} bytes")
