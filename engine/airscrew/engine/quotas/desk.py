"""
Where turns ask for units of a quota: who may go, who waits and why; and who is woken when something is free.

Guarantees: what it knows of the store follows a watch that is resumed and listed again after a compaction; when it is
behind, somebody waits longer or tries in vain, and never is a limit passed. A look waits for nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec

from airscrew.engine.clock import Clock
from airscrew.engine.quotas.line import Line, Waiting, order_of
from airscrew.engine.quotas.pools import Pools, priority_of, title
from airscrew.engine.quotas.slots import NOBODY, Slots
from airscrew.idl.ids import ExecutionId
from airscrew.state import keys
from airscrew.state.beside import running_beside
from airscrew.state.errors import StoreUnavailableError
from airscrew.state.following import Following
from airscrew.state.records import Place, RecordError, TokenHolder, decode
from airscrew.state.store import Event, KeyValue, Store

PATIENCE_SECONDS = 5.0
"""For so long what is free is left to those of other engines who are before ours in the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """
    What a quota says to a start.

    Attributes:
        reason: Why it has to wait; empty when it need not.
        place: Its place in the line, when it waits.
        tokens: What it takes when it goes.
        asks: Whether its executor is to be asked first what it takes.
        opens_at: When to look again though nobody wakes it; None for never.
    """

    reason: str = ""
    place: Place | None = None
    tokens: tuple[str, ...] = ()
    asks: bool = False
    opens_at: float | None = None


@dataclass(frozen=True, slots=True)
class PoolState:
    """
    How a pool stands.

    Attributes:
        pool: Which.
        limit: How many units it has.
        used: How many are taken.
        waiting: How many executions wait for some.
        oldest_wait_since: Since when the first of them does; 0 when none does.
    """

    pool: str
    limit: int
    used: int
    waiting: int
    oldest_wait_since: float


OPEN = Hold()
"""No quota applies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """
    An attempt that is to be started.

    Attributes:
        execution: Whose.
        executor: Who has it.
        own: The pool that its executor names for it, empty for none, and units; None before that was asked.
        project: Of its task.
        labels: Its own.
        place: The place that it has in the line by its record.
        shown: The reason that is shown, when it is one of ours.
    """

    execution: ExecutionId
    executor: str
    own: tuple[str, int] | None
    project: str
    labels: Mapping[str, str]
    place: Place | None
    shown: str = ""


@asynccontextmanager
async def following(desk: QuotaDesk | None) -> AsyncIterator[None]:
    """Let a desk follow the store until the block ends, which begins when it knows what is taken."""
    if desk is None:
        yield
        return
    async with running_beside(quotas=desk.follow(), quota_patience=desk.lose_patience()):
        await desk.is_known.wait()
        yield


@dataclass(slots=True, kw_only=True)
class QuotaDesk:
    """
    The quotas of one engine.

    Attributes:
        store: Where tokens and places are.
        pools: What is set.
        clock: The engine's time.
        wake: Pushes an execution back into the queue.
        spread: Draws a number in 0 to 1.
        heeds_others: Whether those count who wait and are not this engine's: not where it works on a few alone.
        slots: What is free.
        line: Who waits.
        ours: Those of them who are this engine's.
    """

    store: Store
    pools: Pools
    clock: Clock
    wake: Callable[[ExecutionId], None]
    spread: Callable[[], float]
    heeds_others: bool = True
    slots: Slots = field(default_factory=Slots)
    line: Line = field(default_factory=Line)
    ours: Line = field(default_factory=Line)
    is_known: asyncio.Event = field(default_factory=asyncio.Event)
    _woken: set[ExecutionId] = field(default_factory=set[ExecutionId])
    _moved_at: dict[str, float] = field(default_factory=dict[str, float])

    def look(self, asker: Asker, now: float) -> Hold:
        """Say whether a start may go, with which tokens; else it stands in the line from now on."""
        execution = asker.execution
        self._woken.discard(execution)
        self.slots.unreserve(execution)
        if asker.own is None:
            return Hold(asks=True)
        need = self.pools.need(asker.executor, asker.own)
        if need is None:
            self.leave(execution)
            return OPEN
        place = self._place(asker, need, now)
        waiting = self._waiting(execution, place)
        self.line.put(waiting)
        self.ours.put(waiting)
        if self._may_go(waiting, now):
            limits = [self.pools.limit(scope) or 0 for scope in waiting.scopes]
            tokens = self.slots.choose(waiting.scopes, limits, waiting.units, self.spread())
            if tokens:
                return Hold(tokens=tokens)
        return Hold(reason=self._reason(waiting, asker.shown), place=place, opens_at=self._opens_at(waiting, now))

    def reserve(self, execution: ExecutionId, tokens: tuple[str, ...]) -> None:
        """Take note that tokens are about to be written, and that their owner waits no more."""
        self._forget(execution)
        self.slots.reserve(execution, tokens)

    async def settle(self, execution: ExecutionId, tokens: tuple[str, ...], project: str, revision: int) -> None:
        """
        Take note of what became of that.

        Args:
            execution: Whose they were to be.
            tokens: Which.
            project: Of its task.
            revision: Of the write; 0 when it failed: somebody else may have them.
        """
        if revision:
            self.slots.unreserve(execution)
            holder = TokenHolder(execution=str(execution), key=NOBODY.key, project=project)
            for token in tokens:
                self.slots.put(token, holder, revision)
            return
        for token in tokens:
            with suppress(StoreUnavailableError):
                found = await self.store.get(keys.quota_token_key(token))
                if found is not None:
                    self._take_in(Event(found.key, found.value, found.mod_revision))
        if self.slots.unreserve(execution):
            self._tell()

    def leave(self, execution: ExecutionId) -> None:
        """Stand in the line no more, and want nothing: whoever waited for that is woken."""
        was_there = self._forget(execution)
        if self.slots.unreserve(execution) or was_there:
            self._tell()

    def states(self) -> Iterator[PoolState]:
        """Tell how each pool stands, as far as this engine knows."""
        since: dict[str, list[float]] = {pool: [] for pool in self.pools.names}
        for waiting in self.line:
            since[waiting.scopes[0]].append(waiting.order[1])
        for pool, times in since.items():
            limit, used = self.pools.limit(pool) or 0, self.slots.used(pool)
            yield PoolState(pool, limit, used, len(times), min(times, default=0.0))

    async def follow(self) -> None:
        """Follow the store, until cancelled."""
        following = Following(
            store=self.store, prefix=keys.QUOTAS, take_all=self._take_in_all, take=self._take_in_batch
        )
        await following.follow()

    def _take_in_batch(self, batch: Sequence[Event]) -> None:
        for event in batch:
            self._take_in(event)
        self._tell()

    def _take_in_all(self, items: Sequence[KeyValue], revision: int) -> None:
        """Take in a list, and drop what is not on it any more."""
        tokens, places = list[str](), set[ExecutionId]()
        for item in items:
            self._take_in(Event(item.key, item.value, item.mod_revision))
            if item.key.startswith(keys.QUOTA_TOKENS):
                tokens.append(item.key.removeprefix(keys.QUOTA_TOKENS))
                continue
            with suppress(ValueError):
                places.add(keys.execution_of(item.key))
        self.slots.keep_only(tokens, revision)
        self._moved_at = dict.fromkeys(self.pools.names, self.clock.now())
        for waiting in [one.execution for one in self.line if one.execution not in self.ours]:
            if waiting not in places:
                self.line.remove(waiting)
        self.is_known.set()
        self._tell()

    def _take_in(self, event: Event) -> None:
        with suppress(ValueError):
            if event.key.startswith(keys.QUOTA_TOKENS):
                self._take_in_token(event.key.removeprefix(keys.QUOTA_TOKENS), event)
            elif self.heeds_others:
                self._take_in_place(keys.execution_of(event.key), event)

    def _take_in_token(self, token: str, event: Event) -> None:
        self._moved_at[token.partition("/")[0]] = self.clock.now()
        if event.value is None:
            self.slots.drop(token, event.revision)
            return
        holder = NOBODY
        with suppress(RecordError):
            holder = decode(event.value, TokenHolder)
        self.slots.put(token, holder, event.revision)

    def _take_in_place(self, execution: ExecutionId, event: Event) -> None:
        """Take note of who waits at another engine; of our own we know better."""
        if execution in self.ours:
            return
        if event.value is None:
            self.line.remove(execution)
            return
        with suppress(RecordError):
            place = decode(event.value, Place)
            if place.aside:
                self.line.remove(execution)
            elif place.pool in self.pools.names:
                self.line.put(self._waiting(execution, place))

    async def lose_patience(self) -> None:
        """Wake ours when what is free is not taken by those who are before them, until cancelled."""
        while True:
            await asyncio.sleep(PATIENCE_SECONDS)
            if len(self.ours) < len(self.line):
                for waiting in list(self.ours.admitted(self._free)):
                    if self._is_patience_over(waiting, self.clock.now()):
                        self._wake(waiting)

    def _tell(self) -> None:
        """Wake those of ours who can go now, each once."""
        if self.ours:
            for waiting in list(self.line.admitted(self._free)):
                if waiting.execution in self.ours:
                    self._wake(waiting)

    def _wake(self, waiting: Waiting) -> None:
        if waiting.execution not in self._woken:
            self._woken.add(waiting.execution)
            self.wake(waiting.execution)

    def _forget(self, execution: ExecutionId) -> bool:
        self._woken.discard(execution)
        self.ours.remove(execution)
        return self.line.remove(execution)

    def _may_go(self, waiting: Waiting, now: float) -> bool:
        if self._is_admitted(waiting, self.line):
            return True
        return self._is_patience_over(waiting, now) and self._is_admitted(waiting, self.ours)

    def _is_admitted(self, waiting: Waiting, line: Line) -> bool:
        """Tell whether one may go; most often nothing is free, and then nobody else is looked at."""
        if any(self._free(scope) < waiting.units for scope in waiting.scopes):
            return False
        return any(one.execution == waiting.execution for one in line.admitted(self._free))

    def _is_patience_over(self, waiting: Waiting, now: float) -> bool:
        return now >= self._moved_at.get(waiting.scopes[0], 0.0) + PATIENCE_SECONDS

    def _opens_at(self, waiting: Waiting, now: float) -> float | None:
        """Say when patience with others is over, when it is they alone for whom it waits."""
        if len(self.ours) == len(self.line) or self._is_patience_over(waiting, now):
            return None
        if not self._is_admitted(waiting, self.ours):
            return None
        return self._moved_at.get(waiting.scopes[0], 0.0) + PATIENCE_SECONDS

    def _free(self, scope: str) -> int:
        return (self.pools.limit(scope) or 0) - self.slots.used(scope)

    def _place(self, asker: Asker, need: tuple[str, int], now: float) -> Place:
        """Keep the place that it has, unless it is one for something else."""
        pool, units = need
        known = asker.place
        if known is not None and (known.pool, known.units) == need:
            return msgspec.structs.replace(known, aside=False) if known.aside else known
        return Place(pool=pool, units=units, priority=priority_of(asker.labels), since=now, project=asker.project)

    def _waiting(self, execution: ExecutionId, place: Place) -> Waiting:
        return Waiting(
            execution=execution,
            scopes=self.pools.scopes(place.pool, execution.namespace, place.project),
            units=place.units,
            order=order_of(execution, place.priority, place.since),
        )

    def _reason(self, waiting: Waiting, shown: str) -> str:
        """Say what it waits for; as before while it is the same, since each other text is another report."""
        pool, *shares = waiting.scopes
        lacking = next((scope for scope in (*shares, pool) if self._free(scope) < waiting.units), None)
        scope = lacking or pool
        limit = self.pools.limit(scope)
        start, of = f"waits for quota {title(scope)}: ", f" of {limit} used"
        if re.fullmatch(f"{re.escape(start)}\\d+{re.escape(of)}.*", shown):
            return shown
        wanted = f", {waiting.units} wanted" if waiting.units > 1 else ""
        return f"{start}{self.slots.used(scope)}{of}{wanted}{'' if lacking else ', and others are first'}"
