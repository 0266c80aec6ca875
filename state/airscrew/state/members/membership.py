"""
One member among others: it follows who is there, takes what is its own to take, and gives what is another's.

Guarantees:

1. A unit has one owner at a time for the store: it changes hands by one transaction over its claim, made by the owner,
   or by another member when the owner is not there any more.
2. Whoever is to get a unit by the choice of its owner gets it when that one's calls have returned, in the same
   transaction: no time lies between.
3. A member that learns that a unit is another's says so at once (``Held.lost``), and what it writes afterwards as its
   owner fails by the fence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import msgspec
from typing_extensions import override

from airscrew.state import keys
from airscrew.state.beside import Beside
from airscrew.state.errors import ShardLostError, StoreError, StoreFullError, StoreUnavailableError
from airscrew.state.fencing import Fence
from airscrew.state.following import Following
from airscrew.state.members.held import Held
from airscrew.state.members.nouns import UNITS, Claim, Life
from airscrew.state.members.plan import Plan, make_plan, written_schema
from airscrew.state.members.registration import Registration
from airscrew.state.members.table import Table
from airscrew.state.store import ANY, Compare, Delete, Event, KeyValue, LeaseStore, Put

_RETRY_SECONDS = 0.5
_PUBLISH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Unit(Fence):
    """The fence of one unit."""

    membership: Membership
    name: str

    @override
    def compares(self) -> Sequence[Compare]:
        return self.membership.compares(self.name)

    @override
    async def check(self) -> None:
        await self.membership.check(self.name)


class Membership:
    """
    This engine among the members; made by ``join``.

    Attributes:
        table: Members and claims.
        heard_time: The engine's time as the last other member told it, and when that was heard by the monotonic
            clock; None before.
    """

    def __init__(self, store: LeaseStore, registration: Registration, monotonic: Callable[[], float]) -> None:
        self.table = Table()
        self.heard_time: tuple[float, float] | None = None
        self._store = store
        self._registration = registration
        self._monotonic = monotonic
        self._owned: dict[str, int] = {}
        self._busy: set[str] = set()
        self._held: Held | None = None
        self._beside: Beside | None = None
        self._changed = asyncio.Event()
        self._heard = asyncio.Event()
        self._moved = asyncio.Event()
        self._following = Following(
            store=store, prefix=keys.MEMBERSHIP, take_all=self._take_in_all, take=self._take_in_batch
        )

    @property
    def store(self) -> LeaseStore:
        """The store that is shared."""
        return self._store

    @property
    def id(self) -> str:
        """This member's id."""
        return self._registration.me.id

    @property
    def is_certain(self) -> bool:
        """Whether an outside call may begin: nobody can have taken over what this member has."""
        return self._registration.is_certain

    @property
    def owned(self) -> frozenset[str]:
        """The units that it has."""
        return frozenset(self._owned)

    @property
    def schema(self) -> int:
        """The form of records that everybody who is there reads."""
        return written_schema(self.table.members.values(), self._registration.me.schema)

    def owns(self, unit: str) -> bool:
        """Tell whether a unit is this member's, as far as it knows."""
        return unit in self._owned

    def unit(self, name: str) -> Unit:
        """Return the fence of a unit."""
        return Unit(self, name)

    def compares(self, unit: str) -> Sequence[Compare]:
        """
        Say what a write as a unit's owner compares.

        Raises:
            ShardLostError: It is not this member's.
        """
        revision = self._owned.get(unit)
        if revision is None:
            raise ShardLostError(unit)
        return [Compare(keys.claim_key(unit), revision)]

    async def check(self, unit: str) -> None:
        """
        Find out whether a unit is still this member's.

        Raises:
            ShardLostError: It is not.
            StoreUnavailableError: The store does not tell.
        """
        if unit in self._owned:
            await self._read_claim(unit)
        if unit not in self._owned:
            raise ShardLostError(unit)

    def set_time(self, now: Callable[[], float]) -> None:
        """Tell from now on what time the engine has."""
        self._registration.now = now

    async def hear_time(self, seconds: float) -> float | None:
        """
        Ask the others what time it is, and wait for the first answer.

        Returns:
            The engine's time now; None when nobody is there, or nobody answers within so many seconds.
        """
        if set(self.table.members) <= {self.id}:
            return None
        try:
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        except TimeoutError:
            return None
        return self.told_time()

    def told_time(self) -> float | None:
        """Return the engine's time now as the others have told it; None when nobody has."""
        if self.heard_time is None:
            return None
        time, at = self.heard_time
        return time + self._monotonic() - at

    def use(self, beside: Beside) -> None:
        """Have its work done beside a block; called once, by ``join``."""
        self._beside = beside

    async def begin(self, held: Held, executors: Mapping[str, int]) -> None:
        """
        Get a share from now on; returns when what was free for it is taken and begun.

        Args:
            held: Works on it.
            executors: The engine's executors, with the version of their states: for people to see.

        Raises:
            StoreUnavailableError: The store does not answer.
        """
        self._held = held
        await self._registration.publish(Life.ACTIVE, executors)
        await self.refresh()
        assert self._beside is not None
        self._beside.spawn(self._act(), "shards")
        while self._busy or self._plan().take:
            self._moved.clear()
            await self._moved.wait()

    async def show_executors(self, executors: Mapping[str, int]) -> None:
        """
        Tell the others what the engine runs now.

        Raises:
            StoreUnavailableError: The store does not answer.
        """
        await self._registration.publish(executors=executors)

    async def leave(self, seconds: float) -> bool:
        """Give away all that it has; False when that takes longer."""
        try:
            async with asyncio.timeout(seconds):
                await self._registration.publish(Life.LEAVING)
                await self.refresh()
                self._changed.set()
                while self._owned:
                    self._moved.clear()
                    await self._moved.wait()
        except (TimeoutError, StoreUnavailableError, StoreFullError):
            return False
        return True

    async def refresh(self) -> None:
        """Read all members and claims."""
        await self._following.list()

    async def follow(self) -> None:
        """Keep the table up to date until cancelled; called after a ``refresh``."""
        await self._following.follow()

    async def tell_time(self) -> None:
        """Write what time it is now and then, and when somebody comes."""
        while True:
            await asyncio.sleep(_PUBLISH_SECONDS)
            await self._publish()

    async def sweep_gone(self) -> None:
        """Strike off members of this machine that are known to have ended, so that nobody waits for their leases."""
        for member in list(self.table.members.values()):
            if member.id != self.id and member.process.is_surely_gone():
                key = keys.member_key(member.id)
                await self._store.txn([Compare(key, self.table.revisions[key])], [Delete(key)])

    def _take_in_all(self, items: Sequence[KeyValue], revision: int) -> None:
        self.table.replace(items, revision)
        self._settle()

    def _take_in_batch(self, batch: Sequence[Event]) -> None:
        for event in batch:
            self._take_in(event)
        self._settle()

    def _take_in(self, event: Event) -> None:
        kind, name = keys.membership_of(event.key)
        is_new = kind == "live" and name not in self.table.members
        if not self.table.apply(event) or kind != "live" or name == self.id or event.value is None:
            return
        member = self.table.members[name]
        if member.life is not Life.JOINING:
            self.heard_time = (member.time, self._monotonic())
            self._heard.set()
            if self._held is not None:
                self._held.told_time(member.time)
        elif is_new and self._beside is not None and self._held is not None:
            self._beside.spawn(self._publish(), "tell-time")

    async def _publish(self) -> None:
        try:
            await self._registration.publish()
        except StoreError:
            return  # told with the next sign of life

    def _settle(self) -> None:
        """Bring what it has into line with the claims."""
        for unit in [*self._owned]:
            # Another revision means that it was another's in between: what was known of it may be so no more.
            is_mine = self.table.claims.get(unit, Claim()).owner == self.id
            if not is_mine or self._owned[unit] != self.table.revision(unit):
                del self._owned[unit]
                if self._held is not None:
                    self._held.lost(unit)
        for unit, claim in self.table.claims.items():
            if claim.owner == self.id and unit not in self._owned:
                self._owned[unit] = self.table.revision(unit)
                self._begin_unit(unit, given=claim.given)
        self._move()

    def _move(self) -> None:
        self._changed.set()
        self._moved.set()

    def _plan(self) -> Plan:
        return make_plan(self.id, self.table.members, self.table.claims, UNITS)

    def _begin_unit(self, unit: str, *, given: bool) -> None:
        assert self._held is not None
        assert self._beside is not None
        self._busy.add(unit)
        self._beside.spawn(self._gained(unit, self._owned[unit], given=given), f"gain-{unit}")

    async def _gained(self, unit: str, term: int, *, given: bool) -> None:
        assert self._held is not None
        try:
            if self._owned.get(unit) == term:  # it may be another's again by the time this runs
                await self._held.gained(unit, given=given)
        finally:
            self._free(unit)

    async def _act(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            plan = self._plan()
            for unit in plan.take:
                self._launch(unit, "", taking=True)
            for unit, to in plan.give:
                self._launch(unit, to, taking=False)

    def _launch(self, unit: str, to: str, *, taking: bool) -> None:
        if unit in self._busy:
            return
        assert self._beside is not None
        self._busy.add(unit)
        work = partial(self._take, unit) if taking else partial(self._give, unit, to)
        self._beside.spawn(self._attempt(unit, work, taking=taking), f"{'take' if taking else 'give'}-{unit}")

    async def _attempt(self, unit: str, work: Callable[[], Awaitable[None]], *, taking: bool) -> None:
        try:
            with suppress(StoreError):
                await work()
            if (unit in self._owned) is not taking:
                # Nothing came of it, as while the own key is away: the next try comes a little later.
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            if not taking or unit not in self._owned:
                self._free(unit)

    def _free(self, unit: str) -> None:
        self._busy.discard(unit)
        self._move()

    async def _take(self, unit: str) -> None:
        """Take a unit that nobody has."""
        owner = self.table.claims.get(unit, Claim()).owner
        compares = [Compare(keys.claim_key(unit), self.table.revision(unit)), Compare(keys.member_key(self.id), ANY)]
        if owner:
            compares.append(Compare(keys.member_key(owner), 0))
        claim = Claim(owner=self.id, since=self._registration.now())
        await self._write(unit, compares, claim)

    async def _give(self, unit: str, to: str) -> None:
        """Give a unit away when all that is under way for it has returned."""
        assert self._held is not None
        term = self._owned.get(unit)
        await self._held.let_go(unit)
        try:
            while term is not None and self._owned.get(unit) == term:
                compares = [*self.compares(unit)]
                if to:
                    compares.append(Compare(keys.member_key(to), ANY))
                try:
                    await self._write(unit, compares, Claim(owner=to, since=self._registration.now(), given=True))
                    break
                except (StoreUnavailableError, StoreFullError):
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            if unit in self._owned:
                # It was not given, or it went and came back while it was let go, which ends work of the new term too.
                await self._held.gained(unit, given=True)

    async def _write(self, unit: str, compares: Sequence[Compare], claim: Claim) -> None:
        key, value = keys.claim_key(unit), msgspec.json.encode(claim)
        result = await self._store.txn(compares, [Put(key, value)])
        if result.succeeded:
            self.table.apply(Event(key, value, result.revision))
            self._settle()
        else:
            await self._read_claim(unit)

    async def _read_claim(self, unit: str) -> None:
        key = keys.claim_key(unit)
        page = await self._store.range(key, key + "\0", limit=1)
        found = page.items[0] if page.items else None
        # That it is not there is news as of a revision too: a claim that was made while the answer came is newer.
        news = Event(key, None, page.revision) if found is None else Event(key, found.value, found.mod_revision)
        if self.table.apply(news):
            self._settle()
