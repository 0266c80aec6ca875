"""
The executors of one engine: where each runs, what holds its starts back, and who has which execution.

The registry knows what is installed and outlives an engine; this is what one engine keeps of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from airscrew.engine.api.model import ExecutorView
from airscrew.engine.controller.gates import Gate
from airscrew.engine.controller.host import Host
from airscrew.engine.controller.live import Live
from airscrew.engine.controller.turn import Dispatch
from airscrew.engine.controller.watchdog import Offence, Watchdog
from airscrew.engine.executor import AnyExecutor, Executor, Setup
from airscrew.engine.executor.erased import overrides
from airscrew.engine.machine import Traits
from airscrew.engine.metrics import NO_METERS, Meters
from airscrew.engine.metrics.names import LOOP_BLOCKS
from airscrew.engine.registry import Registry
from airscrew.idl.errors import UsageError
from airscrew.idl.ids import ExecutionId

log = logging.getLogger("airscrew.hosting")

THREADS = 8
"""How many calls of an executor's plain functions run at once."""


def traits_of(executor: Executor[object]) -> Traits:
    """Reduce an executor to what the machine needs to know of it."""
    return Traits(
        id=executor.id,
        start=executor.start_declaration,
        check_interval=executor.check_interval,
        finalizes=overrides(executor, "finalize"),
        uses_cache=not executor.disables_cache,
        says_needs=overrides(executor, "resource_requirements"),
    )


class Hosts:
    """
    The executors of one engine.

    Args:
        registry: What is installed.
        wake: Pushes an execution back into the queue.
        setup: Makes what an executor is initialised with, by its id.
        on_moved: Called with an executor's id when it was initialised anew on a loop of its own.
        watched: Whether a watchdog looks for executors that block the loop.
        meters: Where it is counted when one does.
    """

    def __init__(
        self,
        registry: Registry,
        wake: Callable[[ExecutionId], None],
        setup: Callable[[str], Setup],
        *,
        on_moved: Callable[[str], None] = lambda _: None,
        watched: bool = True,
        meters: Meters = NO_METERS,
    ) -> None:
        self._registry = registry
        self._meters = meters
        self._wake = wake
        self._setup = setup
        self._on_moved = on_moved
        self.watchdog = Watchdog(self._offended) if watched else None
        self._hosts: dict[str, Host] = {}
        self._gates: dict[str, Gate] = {}
        self._given: dict[str, Dispatch] = {}

    def host_of(self, executor_id: str) -> Host | None:
        """Return where an executor runs; None when it is not there."""
        host = self._hosts.get(executor_id)
        if host is None:
            executor = self._registry.get(executor_id)
            if executor is None:
                return None
            setup = self._setup(executor_id)
            # A pool of its own: one that hangs starves no other.
            threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"executor-{executor_id}")
            host = self._hosts[executor_id] = Host(
                executor, threads, self.watchdog, setup, partial(self._on_moved, executor_id)
            )
        return host

    def dispatch(self, live: Live) -> Dispatch:
        """Say who has an execution at the moment."""
        executor_id = live.record.executor or self._choose(live)
        host = self.host_of(executor_id) if executor_id else None
        if host is None:
            absent = self._registry.why_absent(executor_id) if executor_id else self._why_none(live)
            return Dispatch(executor_id, None, None, absent)
        given = self._given.get(executor_id)
        if given is None:
            gate = self._gates[executor_id] = Gate(host.executor.concurrency, self._wake)
            given = Dispatch(executor_id, traits_of(host.executor), gate, outside=host.executor.outside)
            self._given[executor_id] = given
        return given

    def views(self, now: float) -> list[ExecutorView]:
        """Show every installed executor."""
        return [
            executor_view(candidate.id, self._registry, self._gates.get(candidate.id), now)
            for candidate, _, _ in self._registry.all()
        ]

    def open_breakers(self, now: float) -> dict[str, bool]:
        """Tell of each executor that was asked for anything whether its breaker is open."""
        return {executor_id: gate.is_open(now) for executor_id, gate in self._gates.items()}

    def held_seconds(self) -> dict[str, float]:
        """Tell how long each executor's code has had the loop."""
        return {} if self.watchdog is None else dict(self.watchdog.held)

    def executors(self) -> list[AnyExecutor]:
        """Return the executors that were asked for anything."""
        return [host.executor for host in self._hosts.values()]

    def close(self) -> None:
        """End the loops that offenders were moved to."""
        for host in self._hosts.values():
            host.close()

    def _offended(self, offence: Offence) -> None:
        fields = {"executor": offence.executor, "seconds": round(offence.seconds, 3), "stack": offence.stack}
        log.warning("an executor blocked the loop", extra=fields)
        self._meters.count(LOOP_BLOCKS, offence.executor)
        host = self._hosts.get(offence.executor)
        if host is not None:
            host.offence = offence

    def _choose(self, live: Live) -> str:
        try:
            return self._resolve(live).id
        except UsageError:
            return ""

    def _why_none(self, live: Live) -> str:
        try:
            self._resolve(live)
        except UsageError as error:
            return str(error)
        return ""

    def _resolve(self, live: Live) -> Executor[object]:
        # A template is accepted for an unknown type only with a container: what is stored was resolved once before.
        options = live.options
        return self._registry.resolve(options.task_type, has_container=True, wanted=options.executor)


def executor_view(executor_id: str, registry: Registry, gate: Gate | None, now: float) -> ExecutorView:
    """Show an installed executor."""
    candidate, executor, problem = next(found for found in registry.all() if found[0].id == executor_id)
    return ExecutorView(
        id=executor_id,
        task_types=list(executor.task_types) if executor is not None else [],
        origin=candidate.origin,
        version=candidate.version,
        enabled=candidate.enabled,
        problem=problem,
        start=type(executor.start_declaration).__name__ if executor is not None else "",
        breaker=gate.breaker(now) if gate is not None else "",
        live=gate.live if gate is not None else 0,
    )
