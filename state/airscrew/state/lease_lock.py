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
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import final

import msgspec

from airscrew.state.errors import LeaseOverError, StoreBusyError, StoreError, StoreUnavailableError
from airscrew.state.room import BoundedStore
from airscrew.state.store import Compare, KeyValue, LeaseStore, Operation, Put, TxnResult

ENGINE_KEY = "lock/engine"
TERM_KEY = "lock/term"

LEASE_SECONDS = 15.0
_TRIES = 3
_START_FIELD = 19
"""Of ``/proc/PID/stat``, counted after the command's name."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who holds the lock.

    Attributes:
        host: Its machine's name.
        pid: Its process.
        boot: The machine's boot, by its id.
        space: The namespace that the process id is of.
        started: When the process began, in the kernel's ticks.
    """

    host: str
    pid: int
    boot: str = ""
    space: str = ""
    started: str = ""

    def is_surely_gone(self) -> bool:
        """Tell whether it is known to have ended: only for a process of this machine, this boot and this namespace."""
        me = myself()
        is_near = bool(me.boot and me.space) and (self.host, self.boot, self.space) == (me.host, me.boot, me.space)
        return is_near and _started(self.pid) != self.started


def myself() -> Holder:
    """Describe this process."""
    return Holder(
        host=socket.gethostname(),
        pid=os.getpid(),
        boot=_boot(),
        space=_space(),
        started=_started(os.getpid()),
    )


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
    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(lock.keep(), name="engine-lock")
            try:
                yield FencedStore(store, lock)
            except Exception as error:  # noqa: BLE001  # raised again below, as it is: a task group would wrap it
                failure = error
            finally:
                keeping.cancel()
    except ExceptionGroup:
        if lock.lost is None:
            raise
        raise lock.lost from failure
    finally:
        await lock.release()
    if failure is not None:
        raise failure


class _Lock:
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

    async def check(self) -> None:
        """Raise ``StoreBusyError`` when another process took the lock."""
        if self.lost is None and _revision(await self._store.get(TERM_KEY)) != self.term:
            self.lost = self._busy(await self._store.get(ENGINE_KEY))
        if self.lost is not None:
            raise StoreBusyError(*self.lost.args)

    async def _regain(self) -> bool:
        """Take the lock again after its lease ended, if nobody took it meanwhile; False when the store is away."""
        try:
            await self.check()
            engine = await self._store.get(ENGINE_KEY)
            if engine is not None and engine.lease == self._lease:
                return True
            self._lease = await self._store.grant_lease(self._seconds)
            return await self._write(_revision(engine), self.term, is_new=False)
        except StoreUnavailableError:
            return False

    async def _write(self, engine: int, term: int, *, is_new: bool) -> bool:
        """Write the lock's keys if they are as they were read; False when they are not, or the reply was lost."""
        me = msgspec.json.encode(myself())
        operations: list[Operation] = [Put(ENGINE_KEY, me, self._lease)]
        if is_new:
            operations.append(Put(TERM_KEY, me))
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


@final
class FencedStore:
    """A ``LeaseStore`` that writes only as long as its lock is not another's; all else is the store's own."""

    def __init__(self, store: LeaseStore, lock: _Lock) -> None:
        """Wrap a store; use ``hold_engine`` instead."""
        self._store = store
        self._lock = lock
        self.get = store.get
        self.range = store.range
        self.watch = store.watch
        self.compact = store.compact
        self.status = store.status
        self.grant_lease = store.grant_lease
        self.keep_alive = store.keep_alive
        self.revoke_lease = store.revoke_lease

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """
        Make all the writes if all the compares hold and the lock is not another's, else none.

        Raises:
            StoreBusyError: It is another's; nothing was written.
        """
        result = await self._store.txn([*compares, Compare(TERM_KEY, self._lock.term)], operations)
        if not result.succeeded:
            await self._lock.check()
        return result

    def is_short_of_room(self) -> bool:
        """Tell whether the store comes near its limit."""
        return isinstance(self._store, BoundedStore) and self._store.is_short_of_room()


def holder_of(engine: KeyValue) -> Holder:
    """Read who holds the lock; a stranger when that cannot be read."""
    try:
        return msgspec.json.decode(engine.value, type=Holder)
    except msgspec.MsgspecError:
        return Holder(host="", pid=0)


def _revision(found: KeyValue | None) -> int:
    return 0 if found is None else found.mod_revision


def _boot() -> str:
    return _text(Path("/proc/sys/kernel/random/boot_id"))


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process began; empty when there is none."""
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return fields[_START_FIELD] if len(fields) > _START_FIELD and fields[0] not in "ZX" else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
