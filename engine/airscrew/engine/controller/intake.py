"""
What asks for a look at an execution: ledger entries and requests in the store.

They are listed when a shard is opened and after a compaction, and watched in between: nothing is taken from a watch
alone. What lies in a shard that is not worked on is left where it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from airscrew.engine.controller.commit import SUBMIT
from airscrew.engine.controller.late_starts import late_note
from airscrew.engine.controller.live import Live
from airscrew.engine.controller.shards import OpenShards
from airscrew.engine.machine import SWEEP
from airscrew.idl.errors import UsageError
from airscrew.idl.ids import ExecutionId, Uid
from airscrew.state import keys
from airscrew.state.following import Following, read_all
from airscrew.state.records import LedgerEntry, RecordError, Request, decode
from airscrew.state.store import Compare, Delete, Event, KeyValue, Operation, Store

log = logging.getLogger("airscrew.controller")

Asked = dict[str, tuple[Request, int]]
"""Requests to an execution by name, with their revisions."""


@dataclass(slots=True)
class Intake:
    """
    Takes in what is asked, and keeps it until the turn that it is for.

    Attributes:
        store: Where it is asked.
        installation: Part of the key of every attempt.
        shards: Which shards are worked on.
        look: Puts an execution into the queue.
        asked: By execution.
    """

    store: Store
    installation: str
    shards: OpenShards
    look: Callable[[ExecutionId], object]
    asked: dict[ExecutionId, Asked] = field(default_factory=dict[ExecutionId, Asked])
    _following: Following = field(init=False)

    def __post_init__(self) -> None:
        """Prepare to follow requests."""
        self._following = Following(
            store=self.store, prefix=keys.REQUESTS, take_all=self._take_in_all, take=self._take_in_batch
        )

    async def begin(self) -> None:
        """Take in all that is there."""
        await self._list_open(keys.LEDGER)
        await self._following.list()

    async def take_in_shard(self, shard: int) -> None:
        """
        Take in all that is there of one shard.

        Raises:
            StoreUnavailableError: The store does not answer.
        """
        await self._list_open(keys.ledger_prefix(shard))
        self._take_in_all(*await read_all(self.store, keys.requests_prefix(shard)))

    async def follow(self) -> None:
        """Take in what is new since ``begin``, for ever."""
        await self._following.follow()

    def of(self, execution: ExecutionId) -> Asked:
        """Return what came for an execution and is not handed over yet."""
        return self.asked.get(execution, {})

    def keep(self, live: Live) -> None:
        """Keep what was handed over for the next turn: nobody tells of it again."""
        if live.requests:
            self.asked[live.execution] = {**live.requests, **self.of(live.execution)}

    def forget(self, execution: ExecutionId) -> None:
        """Forget what came for an execution: it is another engine's."""
        self.asked.pop(execution, None)

    def hand_over(self, live: Live) -> None:
        """Give a turn what came for its execution."""
        for what, found in self.asked.get(live.execution, {}).items():
            if what != SUBMIT:
                live.requests[what] = found
        self.asked.pop(live.execution, None)

    async def drop(self, execution: ExecutionId) -> None:
        """Forget requests to an execution that is not there: it was pruned, or never accepted."""
        spec = keys.spec_key(execution)
        for what, (request, revision) in list(self.of(execution).items()):
            name = keys.request_key(execution, what)
            result = await self.store.txn(
                [Compare(spec, 0), Compare(name, revision)], self._struck_off(execution, name, request)
            )
            if not result.succeeded and await self.store.get(spec) is not None:
                self.look(execution)  # its name was taken again while it was read that nothing is there
                return
            self._strike_out(execution, what, revision)
        if not self.of(execution):
            self.forget(execution)

    async def tell_of_strangers(self, execution: ExecutionId, uid: Uid) -> None:
        """
        Hand word of late starts on to the ledger where it is about earlier executions of the same name.

        None is left when this returns, whatever came meanwhile: what is handed over to a turn is this execution's.
        """
        while (stranger := self._stranger(execution, uid)) is not None:
            what, request, revision = stranger
            name = keys.request_key(execution, what)
            await self.store.txn([Compare(name, revision)], self._struck_off(execution, name, request))
            self._strike_out(execution, what, revision)

    def _strike_out(self, execution: ExecutionId, what: str, revision: int) -> None:
        """Forget a request that was seen to, unless it was asked anew meanwhile."""
        if self.of(execution).get(what, (None, 0))[1] == revision:
            del self.asked[execution][what]

    def _stranger(self, execution: ExecutionId, uid: Uid) -> tuple[str, Request, int] | None:
        """Find word of a late start of an earlier execution of the same name."""
        for what, (request, revision) in self.of(execution).items():
            if request.what == SWEEP and request.uid != uid:
                return what, request, revision
        return None

    def _struck_off(self, execution: ExecutionId, name: str, request: Request) -> list[Operation]:
        """Say what is written when a request is for nobody: what it knows of a job is kept."""
        is_word = request.what == SWEEP and request.uid
        return [Delete(name), *([late_note(execution, self.installation, request)] if is_word else ())]

    async def _list_open(self, prefix: str) -> None:
        """Put those with something outside first: they hold their slots before anything new asks for one."""
        items, _ = await read_all(self.store, prefix)
        for item in items:
            with suppress(RecordError, UsageError):
                self.look(ExecutionId.parse(decode(item.value, LedgerEntry).execution))

    def _take_in_all(self, items: Sequence[KeyValue], _revision: int) -> None:
        for item in items:
            self._take_in(Event(item.key, item.value, item.mod_revision))

    def _take_in_batch(self, batch: Sequence[Event]) -> None:
        for event in batch:
            self._take_in(event)

    def _take_in(self, event: Event) -> None:
        if event.value is None or not self.shards.is_open(keys.shard_of(event.key)):
            return
        try:
            execution, what = keys.execution_of(event.key), keys.request_of(event.key)
            request = decode(event.value, Request)
        except (RecordError, ValueError, IndexError):
            log.warning("a request cannot be read", extra={"key": event.key})
            return
        self.asked.setdefault(execution, {})[what] = (request, event.revision)
        self.look(execution)
