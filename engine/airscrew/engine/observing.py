"""
How an engine stands, in numbers: what its parts know of themselves, read when somebody asks.

Guarantees: reading changes nothing and waits for nothing; an executor that cannot tell how it stands is left out, and
the others are told. What takes a read of the store is found out now and then by the leader alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from airscrew.engine.cache import Measured
from airscrew.engine.core import Core
from airscrew.engine.executor import AnyExecutor
from airscrew.engine.metrics import Sample, names
from airscrew.idl.ids import SHARDS
from airscrew.state.errors import StoreError
from airscrew.state.members import Membership
from airscrew.state.records import LedgerState

log = logging.getLogger("airscrew.observing")

LEDGER_SECONDS = 60.0


@dataclass(slots=True)
class Observer:
    """
    Looks at an engine.

    Attributes:
        core: The engine.
        membership: It among others; None when it has the store for itself.
        leaks: How many ledger entries tell of an unknown outcome; None where another one finds that out.
    """

    core: Core
    membership: Membership | None
    leaks: int | None = field(default=None, init=False)

    def look(self) -> Iterator[Sample]:
        """Tell how everything stands."""
        yield from self._queue()
        yield from self._executions()
        yield from self._shares()
        yield from self._executors()
        yield from self._quotas()

    async def look_at_ledger(self) -> None:
        """Count what is not known, now and then, while this engine leads; until cancelled."""
        while True:
            if not self.core.leadership.is_held:
                self.leaks = None
            else:
                with suppress(StoreError):
                    entries = await self.core.api.reader.ledger()
                    self.leaks = sum(entry.state is LedgerState.UNKNOWN for _, _, entry in entries)
            await asyncio.sleep(LEDGER_SECONDS)

    def _queue(self) -> Iterator[Sample]:
        queue = self.core.controller.queue.statistics()
        yield Sample(names.QUEUE_DEPTH, queue.depth)
        yield Sample(names.QUEUE_OLDEST, queue.oldest_age_seconds)
        yield Sample(names.QUEUE_DELAYED, queue.delayed)
        yield Sample(names.QUEUE_PROCESSING, queue.in_processing)
        yield Sample(names.QUEUE_ADDS, queue.adds)

    def _executions(self) -> Iterator[Sample]:
        records = [live.record for live in self.core.controller.lives]
        phases = Counter((record.executor, record.phase.title) for record in records)
        for labels, count in phases.items():
            yield Sample(names.EXECUTIONS, count, labels)
        quarantined = Counter(record.executor for record in records if record.quarantine)
        for executor in {record.executor for record in records}:
            yield Sample(names.QUARANTINED, quarantined[executor], (executor,))

    def _shares(self) -> Iterator[Sample]:
        member = self.membership
        yield Sample(names.MEMBERS, 1 if member is None else len(member.table.members))
        yield Sample(names.SHARDS_HELD, SHARDS if member is None else self.core.controller.shards.count)
        yield Sample(names.LEADER, float(self.core.leadership.is_held))
        if self.leaks is not None:
            yield Sample(names.LEAKS, self.leaks)

    def _executors(self) -> Iterator[Sample]:
        hosts = self.core.hosts
        for executor, is_open in hosts.open_breakers(self.core.clock.now()).items():
            yield Sample(names.BREAKER_OPEN, float(is_open), (executor,))
        for executor, seconds in hosts.held_seconds().items():
            yield Sample(names.LOOP_HELD, seconds, (executor,))
        for one in hosts.executors():
            yield from _told_by(one)

    def _quotas(self) -> Iterator[Sample]:
        if self.core.quotas is None:
            return
        for state in self.core.quotas.states():
            labels = (state.pool,)
            yield Sample(names.QUOTA_LIMIT, state.limit, labels)
            yield Sample(names.QUOTA_USED, state.used, labels)
            yield Sample(names.QUOTA_WAITING, state.waiting, labels)
            age = self.core.clock.now() - state.oldest_wait_since if state.waiting else 0.0
            yield Sample(names.QUOTA_OLDEST, max(age, 0.0), labels)


def _told_by(executor: AnyExecutor) -> list[Sample]:
    """Ask an executor for its caches and watches."""
    try:
        samples = [sample for cache in executor.caches() for sample in _cache(cache)]
        return samples + [Sample(names.WATCH_AGE, age, (name,)) for name, age in executor.watches().items()]
    except Exception as error:  # noqa: BLE001 - the wall around an executor's code
        log.debug("an executor cannot tell how it stands", extra={"executor": executor.id, "error": repr(error)})
        return []


def _cache(cache: Measured) -> Iterator[Sample]:
    told, labels = cache.statistics(), (cache.name,)
    yield Sample(names.CACHE_ITEMS, told.size, labels)
    yield Sample(names.CACHE_AGE, told.max_age_seconds, labels)
    yield Sample(names.CACHE_LAG, told.lag_seconds, labels)
    yield Sample(names.CACHE_SYNCS, told.calls, labels)
    yield Sample(names.CACHE_FAILURES, told.failed_calls, labels)
