"""
One connector service as the executor uses it: what it serves, and its jobs, each looked at in the background.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from types import TracebackType
from typing import Self, TypeVar

from airscrew.engine.cache import (
    AutoRefreshCache,
    Batch,
    CacheOptions,
    Failed,
    Measured,
    SyncResult,
    Updated,
    single_item_batches,
)
from airscrew.engine.clock import Clock
from airscrew.engine.executor import TaskContext
from airscrew.plugins.connector.answers import JobView, Served
from airscrew.plugins.connector.client import ConnectorClient
from airscrew.plugins.connector.decide import complained, is_over, missed
from airscrew.plugins.connector.errors import BadAnswerError, ConnectorError, NotThereError
from airscrew.plugins.connector.state import ConnectorState

StateT = TypeVar("StateT")

Watched = tuple[ConnectorState, JobView]

LOOKS_AT_ONCE = 16


class ServiceJobs:
    """
    What one service's jobs need; open it with ``async with``.

    Args:
        client: Talks to it; closed along.
        wake: Wakes the owner of a job by the attempt's key.
        on_served: Called when the service serves something else than before.
        discovery_interval: Seconds between two questions for that.
        size: How many jobs are followed at once.
    """

    def __init__(
        self,
        client: ConnectorClient,
        *,
        clock: Clock,
        random: Random,
        wake: Callable[[str], None],
        on_served: Callable[[], None],
        discovery_interval: float,
        size: int,
    ) -> None:
        self.client = client
        self.name = client.name
        service = client.service
        self._clock = clock
        self._problem = ""
        self._jobs: AutoRefreshCache[Watched] = AutoRefreshCache(
            f"connector/{self.name}",
            sync=self._look_again,
            is_terminal=lambda watched: is_over(watched[1]),
            clock=clock,
            random=random,
            options=CacheOptions(
                period_seconds=service.interval,
                batch_size=1,
                size=size,
                concurrency=LOOKS_AT_ONCE,
                deadline_seconds=service.timeout * 2,
                calls_per_second=service.calls_per_second,
            ),
            create_batches=single_item_batches,
            on_change=lambda key, _: wake(key),
        )
        self._served: AutoRefreshCache[tuple[Served, ...]] = AutoRefreshCache(
            f"connector/{self.name}/served",
            sync=self._ask_again,
            is_terminal=lambda _: False,
            clock=clock,
            random=random,
            options=CacheOptions(
                period_seconds=discovery_interval,
                size=1,
                concurrency=1,
                deadline_seconds=service.timeout * 2,
                backoff_cap_seconds=discovery_interval,
                sync_on_create=False,
            ),
            on_change=lambda _, __: on_served(),
        )

    async def __aenter__(self) -> Self:
        await self._jobs.__aenter__()
        await self._served.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._served.__aexit__(kind, error, trace)
        await self._jobs.__aexit__(kind, error, trace)
        await self.client.close()

    @property
    def caches(self) -> list[Measured]:
        """What is asked for again and again."""
        return [self._jobs, self._served]

    @property
    def served(self) -> tuple[Served, ...]:
        """What it said last that it serves; before it said anything, what the configuration assumes."""
        return self._served.get(self.name) or self.client.service.assumed()

    @property
    def problem(self) -> str:
        """Why it did not say last time what it serves; empty when it did."""
        return self._problem

    async def discover(self) -> None:
        """Ask what it serves, and go on asking; that it cannot be asked is no error here."""
        found: tuple[Served, ...] = ()
        try:
            found = await self.client.ask_served()
        except ConnectorError as error:
            self._problem = str(error)
        self._served.get_or_create(self.name, found)

    async def authorize(self, context: TaskContext[StateT]) -> None:
        """
        Read the secrets of the connection by a call's context, once.

        Raises:
            PermanentError: There is no such secret.
        """
        part = self.client.service.connection
        if self.client.connection or not (part.secrets or part.configs):
            return
        values: dict[str, str] = {}
        for name, secret in part.secrets.items():
            group, _, key = secret.rpartition("/")
            values[name] = await context.secret(key, group)
        self.client.connection = {"secrets": values, "configs": dict(part.configs)}

    def look(self, key: str, state: ConnectorState) -> JobView:
        """Return what was heard of a job last, and see to it that it is looked at from now on."""
        return self._jobs.get_or_create(key, (state, JobView()))[1]

    def trouble(self, key: str) -> str:
        """Say why a job is not heard of at the moment; empty when it is."""
        status = self._jobs.inspect(key)
        return status.last_error if status and status.errors > 1 else ""

    def forget(self, key: str) -> None:
        """Look at a job no more."""
        self._jobs.delete_delayed(key)

    async def _look_again(self, batch: Batch[Watched]) -> list[SyncResult[Watched]]:
        results: list[SyncResult[Watched]] = []
        for one in batch:
            state, view = one.item
            try:
                results.append(Updated(one.id, (state, await self.client.get(state))))
            except BadAnswerError as error:
                results.append(Updated(one.id, (state, complained(view, str(error)))))
            except NotThereError as error:
                now = self._clock.monotonic()
                results.append(Updated(one.id, (state, missed(view, str(error), now, self.client.service.visibility))))
            except ConnectorError as error:
                results.append(Failed(one.id, error))
        return results

    async def _ask_again(self, batch: Batch[tuple[Served, ...]]) -> list[SyncResult[tuple[Served, ...]]]:
        try:
            found = await self.client.ask_served()
        except ConnectorError as error:
            self._problem = str(error)
            return [Failed(one.id, error) for one in batch]
        self._problem = ""
        return [Updated(one.id, found) for one in batch]


def route(
    services: Mapping[str, ServiceJobs], task_type: str, version: int, form: str
) -> tuple[ServiceJobs, Served] | str:
    """
    Say which service runs a task, the first by the configuration's order; else why none does, in one line.

    A service that is not heard of at the moment keeps what it served.
    """
    others: list[str] = []
    for name, jobs in services.items():
        for served in jobs.served:
            if (served.task_type, served.version) != (task_type, version):
                others.append(f"{served.title} ({name})")
            elif jobs.client.wire.form != form:
                others.append(f"{served.title} ({name}, for tasks of {jobs.client.wire.form})")
            else:
                return jobs, served
    silent = [f"{name}: {jobs.problem}" for name, jobs in services.items() if jobs.problem]
    wanted = Served(task_type, version).title
    listed = ", ".join(others) or "nothing"
    return "; ".join([f"no connector serves {wanted} for tasks of {form}; served are {listed}", *silent])
