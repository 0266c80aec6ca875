"""
A member's own key: put under a lease, kept alive, and put again when the lease has ended.

Guarantees: ``is_certain`` is true only while nobody can have taken a unit over: the lease lives at least from the
moment on at which the last sign of life that was answered was sent, and a third of its life is left for clocks that
run apart. After a lease has ended, it becomes true again only when the claims have been read anew. A put names the
revision of the key that it replaces: one that arrives late would bring the key back under a lease that nobody keeps.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from airscrew.state import keys
from airscrew.state.errors import LeaseOverError, StoreBusyError, StoreError, StoreFullError, StoreUnavailableError
from airscrew.state.holder import holder_of
from airscrew.state.lease_lock import ENGINE_KEY, TERM_KEY
from airscrew.state.members.nouns import Life, Member
from airscrew.state.store import Compare, Delete, KeyValue, LeaseStore, Operation, Put

_CERTAIN_SHARE = 2 / 3
_TRIES = 3


class Registration:
    """
    One member's key.

    Args:
        store: Where.
        me: The member as it begins.
        seconds: How long the lease outlives a member that is not heard of.
        monotonic: Seconds that never go back.
        now: The engine's time.
    """

    def __init__(
        self,
        store: LeaseStore,
        me: Member,
        *,
        seconds: float,
        monotonic: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self.me = me
        self.now = now
        self._store = store
        self._seconds = seconds
        self._monotonic = monotonic
        self._lease = 0
        self._revision = 0
        self._writing = asyncio.Lock()
        self._sent_at = -math.inf
        self._was_away = False
        self._is_put = False

    @property
    def is_certain(self) -> bool:
        """Whether nobody can have taken over what this member has."""
        return self._monotonic() - self._sent_at < self._seconds * _CERTAIN_SHARE

    async def begin(self) -> None:
        """
        Put the key for the first time.

        Raises:
            StoreBusyError: An engine has the store for itself.
            StoreUnavailableError: The store does not answer; nothing of it stays for longer than the lease.
        """
        self._sent_at = await self._put_anew(is_first=True)

    async def publish(self, life: Life | None = None, executors: Mapping[str, int] | None = None) -> None:
        """Write where the member stands, what time it has, and what it runs."""
        given = self.me.executors if executors is None else dict(executors)
        self.me = msgspec.structs.replace(self.me, life=life or self.me.life, executors=given)
        with suppress(LeaseOverError):  # whoever keeps it puts the key again, with what is to be told
            async with self._writing:
                for _ in range(_TRIES):
                    if await self._put([]) or not await self._is_there():
                        return
            raise StoreUnavailableError(f"the key {self._key} is written by others again and again: try again")

    async def keep(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """
        Give signs of life until cancelled.

        Args:
            refresh: Reads all claims anew; called before a member whose lease had ended is certain again.

        Raises:
            StoreBusyError: The lease had ended, and an engine took the store for itself.
        """
        calm, hurried = self._seconds / 3, self._seconds / 15
        pause = calm
        while True:
            await asyncio.sleep(pause)
            try:
                await self._give_sign(refresh)
                pause = calm
            except (StoreUnavailableError, StoreFullError):
                pause = hurried

    async def end(self) -> None:
        """Take the key away."""
        self._sent_at = -math.inf
        with suppress(StoreError):
            await self._store.revoke_lease(self._lease)

    async def _give_sign(self, refresh: Callable[[], Awaitable[None]]) -> None:
        sent_at = self._monotonic()
        try:
            if self._is_put:
                await self._store.keep_alive(self._lease)
        except LeaseOverError:
            self._sent_at = -math.inf
            self._was_away = True
            self._is_put = False
        if not self._is_put:
            sent_at = await self._put_anew(is_first=False)
        if self._was_away:
            await refresh()
            self._was_away = False
        self._sent_at = sent_at

    async def _put_anew(self, *, is_first: bool) -> float:
        """
        Put the key under a new lease, and return when that lease was asked for.

        Raises:
            StoreUnavailableError: It is not put; that the lease ended before is such a case.
        """
        try:
            async with self._writing:
                return await self._put_under_new_lease(is_first=is_first)
        except LeaseOverError as error:
            raise StoreUnavailableError("the lease of the key ended before it was put: try again") from error

    async def _put_under_new_lease(self, *, is_first: bool) -> float:
        sent_at = self._monotonic()
        self._lease = await self._store.grant_lease(self._seconds)
        self.me = msgspec.structs.replace(self.me, joined_at=self.me.joined_at or self.now())
        await self._is_there()
        besides: list[Operation] = [Put(TERM_KEY, msgspec.json.encode(self.me.process))] if is_first else []
        engine = await self._store.get(ENGINE_KEY)
        if engine is not None:
            await self._refuse_beside(engine)
            besides.append(Delete(ENGINE_KEY))
        if not await self._put(besides, Compare(ENGINE_KEY, 0 if engine is None else engine.mod_revision)):
            raise StoreUnavailableError(f"the store would not take the key {self._key}: try again")
        self._is_put = True
        return sent_at

    async def _is_there(self) -> bool:
        """Read which revision of the key is to be replaced; False when it is not under the lease of now."""
        found = await self._store.get(self._key)
        self._revision = 0 if found is None else found.mod_revision
        return found is not None and found.lease == self._lease

    async def _put(self, besides: Sequence[Operation], *compares: Compare) -> bool:
        """Put the key in the place of the revision that was read last; False when another one is there."""
        self.me = msgspec.structs.replace(self.me, time=self.now())  # what others hear is as old as its way to them
        value = Put(self._key, msgspec.json.encode(self.me), self._lease)
        result = await self._store.txn([Compare(self._key, self._revision), *compares], [value, *besides])
        if result.succeeded:
            self._revision = result.revision
        return result.succeeded

    async def _refuse_beside(self, engine: KeyValue) -> None:
        """Raise ``StoreBusyError`` while an engine has the store for itself, unless it is known to have ended."""
        who = holder_of(engine)
        if who.is_surely_gone():
            return
        await self.end()
        raise StoreBusyError(
            f"the store is in use by an airscrew process that does not share it (process {who.pid} on {who.host}): "
            "submit to that one, or wait until it ends"
        )

    @property
    def _key(self) -> str:
        return keys.member_key(self.me.id)
