"""
The safety steps, each of which can be taken out: what the simulation has to notice.

Only tests call this. A mutation replaces one function while its ``with`` block runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import msgspec
from tests.simulation.disk import Disk
from tests.simulation.store import FaultyStore

from airscrew.engine.controller import controller
from airscrew.engine.controller.calls import Calls
from airscrew.engine.controller.commit import Committer
from airscrew.engine.controller.intake import Intake
from airscrew.engine.controller.live import Live
from airscrew.engine.controller.ownership import SharedOwner
from airscrew.engine.controller.shards import OpenShards
from airscrew.engine.controller.turn import Turns
from airscrew.engine.executor import Findable
from airscrew.engine.machine import SWEEP, Finalize, JobGone, JobStillThere, KillJob, Start, begin
from airscrew.engine.machine import learn as learning  # the function hides the module of its name
from airscrew.engine.outbox import Outbox
from airscrew.engine.service.submission import Submitter
from airscrew.state.errors import StoreError
from airscrew.state.fencing import FencedStore
from airscrew.state.keys import request_key
from airscrew.state.records import Stage
from airscrew.state.store import Delete, KeyValue, Put

_learn_module = __import__("sys").modules[learning.__module__]

SYNC_SECONDS = 5.0
"""As often as a system writes its dirty pages back when nobody asks it to."""

STALE_READS = 0.2
"""How often a store whose reads are not linearizable is one write behind."""

_call = Turns._call
_view = Turns._view
_kill = Calls._kill
_strays = Calls._strays
_quotas = Committer._quotas
_transaction = Committer._transaction
_rebase = Live.rebase
_found = _learn_module._found
_write = Submitter._write
_get = FaultyStore.get


async def _begin_unwritten(self: Any, live: Any, view: Any, given: Any) -> None:
    if given.gate is not None:
        given.gate.take(live.execution)
    live.apply(begin(view, self.nonce()), view.now)
    live.fresh = True


def _calls_unwritten(*kinds: type) -> Callable[..., Any]:
    async def call(self: Any, live: Any, action: Any, given: Any) -> bool:
        if not isinstance(action, kinds):
            return await _call(self, live, action, given)
        live.woken = live.fresh = False
        self._learn(live, given, await self.calls.perform(live, given.executor_id, action))
        return True

    return call


def _always_fresh(self: Any, live: Any, given: Any, **more: Any) -> Any:
    view = _view(self, live, given, **more)
    return msgspec.structs.replace(view, fresh=True) if view.record.stage is Stage.STARTING else view


async def _settle_by_anything(self: Any, live: Any, record: Any) -> int | None:
    found = await self.read(live.execution)
    return None if found is None else found.mod_revision


def _rebase_without_facts(self: Any, *arguments: Any) -> list[Any]:
    _rebase(self, *arguments)
    return []


def _transaction_without_compares(self: Any, *arguments: Any) -> Any:
    _, operations = _transaction(self, *arguments)
    return [], operations


def _quotas_without_compares(self: Any, *arguments: Any) -> Any:
    _quotas(self, *arguments)
    return []


async def _kill_unconfirmed(self: Any, *arguments: Any) -> Any:
    fact = await _kill(self, *arguments)
    return JobGone() if isinstance(fact, JobStillThere) else fact


def _found_unsettled(record: Any, fact: Any, given: Any) -> Any:
    if given.traits is not None and isinstance(given.traits.start, Findable):
        given = msgspec.structs.replace(given, traits=replace(given.traits, start=Findable(0.0)))
    return _found(record, fact, given)


async def _erase_all(self: Any) -> None:
    if self._window:
        await self._store.txn([], [Delete(entry.key) for entry in self._window[:100]])


async def _write_later(self: Any, *arguments: Any) -> bool:
    async def later() -> None:
        with suppress(StoreError):
            await _write(self, *arguments)

    asyncio.get_running_loop().create_task(later())
    return True


async def _txn_unfenced(self: Any, compares: Any, operations: Any) -> Any:
    return await self._store.txn(compares, operations)


async def _get_stale(self: Any, key: str) -> KeyValue | None:
    """Read now and then what a replica would tell that is one write behind."""
    found = await _get(self, key)
    if found is None or not self.world.chance(STALE_READS):
        return found
    puts = ((at, one) for at, written in reversed(self.disk.log) for one in written if isinstance(one, Put))
    before = next(((at, one) for at, one in puts if one.key == key and at < found.mod_revision), None)
    return None if before is None else replace(found, value=before[1].value, mod_revision=before[0])


async def _wait_for_nothing(self: Any, shard: int) -> bool:
    return not self.is_open(shard)


async def _tell_nobody(*arguments: Any) -> None:
    del arguments


async def _drop_strangers(self: Any, execution: Any, uid: Any) -> None:
    for what, (request, _) in list(self.of(execution).items()):
        if request.what == SWEEP and request.uid != uid:
            await self.store.txn([], [Delete(request_key(execution, what))])
            self.of(execution).pop(what, None)


async def _look_once(self: Any, *arguments: Any) -> Any:
    strays, _ = await _strays(self, *arguments)
    return strays, None


def _compare_nothing(self: Any, *arguments: Any) -> Any:
    del self, arguments
    return []


def _sync_later(self: Any) -> None:
    written = len(self.log)

    def sync() -> None:
        self.synced = max(self.synced, min(written, len(self.log)))

    asyncio.get_running_loop().call_later(SYNC_SECONDS, sync, context=Context())


_Patch = tuple[object, str, object]

MUTATIONS: dict[str, tuple[_Patch, ...]] = {
    "intent before create": (
        (Turns, "_begin", _begin_unwritten),
        (Turns, "_call", _calls_unwritten(Start)),
    ),
    "the nonce of a start": ((Turns, "_view", _always_fresh),),
    "the name of a write": ((Committer, "_settle", _settle_by_anything),),
    "facts kept on a conflict": ((Live, "rebase", _rebase_without_facts),),
    "compare on write": ((Committer, "_transaction", _transaction_without_compares),),
    "verdict before deletion": ((Turns, "_call", _calls_unwritten(KillJob, Finalize)),),
    "confirmation before strike-off": ((Calls, "_kill", _kill_unconfirmed),),
    "settle before absence counts": ((_learn_module, "_found", _found_unsettled),),
    "event erased only after its acknowledgement": ((Outbox, "_erase", _erase_all),),
    "acknowledgement only after the write": ((Submitter, "_write", _write_later),),
    "acknowledgement only after the sync": ((Disk, "sync", _sync_later),),
    "linearizable reads": ((FaultyStore, "get", _get_stale),),
    "the term of the lock on every write": ((FencedStore, "txn", _txn_unfenced),),
    "the claim of the shard on every write": ((SharedOwner, "compares", _compare_nothing),),
    "no call by an owner in doubt": ((SharedOwner, "is_certain", True),),
    "word of a start that was under way": ((controller, "tell_of_late_start", _tell_nobody),),
    "word of a start whose execution is gone": ((Intake, "tell_of_strangers", _drop_strangers),),
    "settle before a late start counts as none": ((Calls, "_strays", _look_once),),
    "a unit of a quota only where nobody has it": ((Committer, "_quotas", _quotas_without_compares),),
    "turns end before their shard is given": ((OpenShards, "quiet", _wait_for_nothing),),
}


@contextmanager
def without(step: str) -> Iterator[None]:
    """Take a safety step out."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        for owner, name, replacement in MUTATIONS[step]:
            stack.enter_context(patch.object(owner, name, replacement))
        yield
