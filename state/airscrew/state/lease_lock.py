"""
The lock that makes one process at a time the engine of a store that several machines reach.

Guarantees: while the lock is held nobody else takes it; and whoever lost it without knowing, as a process that was
paused does, writes nothing to the store from the moment on at which another one took it.

Two keys make it. ``lock/engine`` lies under a lease and goes with it: it says that somebody is there. ``lock/term``
stays and is written by each who takes the lock: every transaction of the holder compares its revision. A lease that
ended while the store was out of reach is no loss as long as nobody else took the lock meanwhile, which ``lock/term``
tells: then the holder takes it again and goes on.

A holder that was killed leaves its lease behind, until its time is over. One that starts again on the same machine
need not wait: the key names the process, and the kernel tells whether it still is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
from typing_extensions import override

from airscrew.idl.json_tree import BAD_JSON
from airscrew.state import keys
from airscrew.state.beside import running_beside
from airscrew.state.errors import LeaseOverError, StoreBusyError, StoreError, StoreFullError, StoreUnavailableError
from airscrew.state.fencing import Fence, FencedStore
from airscrew.state.holder import Holder, holder_of, myself
from airscrew.state.store import Compare, DeleteRange, KeyValue, LeaseStore, Operation, Put, prefix_end

ENGINE_KEY = "lock/engine"
TERM_KEY = "lock/term"

LEASE_SECONDS = 15.0
_TRIES = 3


@asynccontextmanager
async def hold_engine(store: LeaseStore, *, seconds: float = LEASE_SECONDS) -> AsyncIterator[LeaseStore]:
    """
    Hold the lock until the block ends, and yield the store to work with meanwhile.

    When another process takes the lock meanwhile, the block is cancelled and ``StoreBusyError`` raised.

    Args:
        store: The store.
        seconds: How long the lock outlives a holder that is not heard of.

    Raises:
        StoreBusyError: Another process holds it.
        StoreUnavailableError: The store does not answer; nothing is held.
    """
    lock = _Lock(store, seconds)
    await lock.acquire()
    try:
        async with running_beside(lock=lock.keep()):
            yield FencedStore(store, lock)
    finally:
        await lock.release()


class _Process(msgspec.Struct, frozen=True):
    """What is looked at of a member."""

    process: Holder = Holder(host="", pid=0)


class _Lock(Fence):
    """
    The lock, from the holder's side.

    Attributes:
        term: The revision of ``lock/term`` that every transaction of the holder compares.
        lost: Why it is lost; None as long as it is not.
    """

    def __init__(self, store: LeaseStore, seconds: float) -> None:
        self.term = 0
        self.lost: StoreBusyError | None = None
        self._store = store
        self._seconds = seconds
        self._lease = 0

    async def acquire(self) -> None:
        """Take the lock or raise."""
        self._lease = await self._store.grant_lease(self._seconds)
        for _ in range(_TRIES):
            engine, term = await self._store.get(ENGINE_KEY), await self._store.get(TERM_KEY)
            if engine is not None and engine.lease == self._lease:
                self.term = engine.mod_revision  # the reply was lost
                return
            if engine is not None and not holder_of(engine).is_surely_gone():
                await self.release()
                raise self._busy(engine)
            await self._refuse_beside_members()
            if await self._write(_revision(engine), _revision(term), is_new=True):
                return
        await self.release()
        raise StoreUnavailableError("the lock of the store's engine could not be taken: try again")

    async def keep(self) -> None:
        """Give signs of life until cancelled; raise ``StoreBusyError`` when another one took the lock."""
        pause = self._seconds / 3
        while True:
            await asyncio.sleep(pause)
            try:
                await self._store.keep_alive(self._lease)
            except LeaseOverError:
                pause = self._seconds / 3 if await self._regain() else self._seconds / 15
            except StoreUnavailableError:
                pause = self._seconds / 15
            else:
                pause = self._seconds / 3

    async def release(self) -> None:
        """Give the lock back."""
        with suppress(StoreError):
            await self._store.revoke_lease(self._lease)

    @override
    def compares(self) -> Sequence[Compare]:
        return [Compare(TERM_KEY, self.term)]

    @override
    async def check(self) -> None:
        """Raise ``StoreBusyError`` when another process took the lock."""
        if self.lost is None and _revision(await self._store.get(TERM_KEY)) != self.term:
            self.lost = self._busy(await self._store.get(ENGINE_KEY))
        if self.lost is not None:
            raise StoreBusyError(*self.lost.args)

    async def _refuse_beside_members(self) -> None:
        """Raise ``StoreBusyError`` while there are members; one that comes after this look writes ``lock/term``."""
        page = await self._store.range(keys.MEMBERS, prefix_end(keys.MEMBERS))
        for item in page.items:
            if not _process_of(item).is_surely_gone():
                await self.release()
                raise StoreBusyError(
                    f"the store is in use by airscrew engines that share it (member "
                    f"{item.key.removeprefix(keys.MEMBERS)}): submit to one of them, or wait until they end"
                )

    async def _regain(self) -> bool:
        """Take the lock again after its lease ended, if nobody took it meanwhile; False when that must wait."""
        try:
            await self.check()
            engine = await self._store.get(ENGINE_KEY)
            if engine is not None and engine.lease == self._lease:
                return True
            self._lease = await self._store.grant_lease(self._seconds)
            return await self._write(_revision(engine), self.term, is_new=False)
        except (StoreUnavailableError, StoreFullError, LeaseOverError):
            return False

    async def _write(self, engine: int, term: int, *, is_new: bool) -> bool:
        """Write the lock's keys if they are as they were read; False when they are not, or the reply was lost."""
        me = msgspec.json.encode(myself())
        operations: list[Operation] = [Put(ENGINE_KEY, me, self._lease)]
        if is_new:
            # A member that was away and comes back finds that it has nothing any more.
            operations += [Put(TERM_KEY, me), DeleteRange(keys.CLAIMS, prefix_end(keys.CLAIMS))]
        try:
            result = await self._store.txn([Compare(ENGINE_KEY, engine), Compare(TERM_KEY, term)], operations)
        except StoreUnavailableError:
            return False
        if result.succeeded and is_new:
            self.term = result.revision
        return result.succeeded

    def _busy(self, engine: KeyValue | None) -> StoreBusyError:
        who = holder_of(engine) if engine is not None else None
        where = f" (process {who.pid} on {who.host})" if who is not None and who.pid else ""
        return StoreBusyError(
            f"the store is in use by another airscrew process{where}: talk to that one, or wait until it ends; "
            f"after a crash its claim ends within {self._seconds:.0f} s"
        )


def _process_of(member: KeyValue) -> Holder:
    try:
        return msgspec.json.decode(member.value, type=_Process).process
    except BAD_JSON:
        return Holder(host="", pid=0)


def _revision(found: KeyValue | None) -> int:
    return 0 if found is None else found.mod_revision
