"""
Watches that outlive their streams.

Each watch has a stream of its own. When it breaks, the watch begins again, at another member, after the last revision
that it has seen whole; how long etcd is away does not matter. Progress that etcd tells moves that revision on while
nothing is written, so that compaction does not overtake a quiet watch. What is compacted ends it.

etcd splits a large answer; the last revision of a part may go on in the next and is held back until it is whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing

from airscrew.state.errors import CompactedError, StoreUnavailableError
from airscrew.state.etcd.failures import CallError, Trouble, classify
from airscrew.state.etcd.link import Link
from airscrew.state.etcd.options import EtcdOptions
from airscrew.state.etcd.wire import Message, Namespace
from airscrew.state.store import Event

log = logging.getLogger("airscrew.state.etcd")


class Watcher:
    """
    One watch.

    Attributes:
        position: The next revision that has not been told.
    """

    def __init__(
        self, link: Link, names: Namespace, options: EtcdOptions, on_compacted: Callable[[int], object]
    ) -> None:
        """
        Prepare it.

        Args:
            link: The line to etcd.
            names: The keys.
            options: The pauses.
            on_compacted: Told which revision is found compacted.
        """
        self.position = 0
        self._link = link
        self._names = names
        self._options = options
        self._on_compacted = on_compacted
        self._held: list[Event] = []

    async def run(self, start: str, end: str, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        """Yield the events from a revision on; see ``Store.watch``."""
        self.position = from_revision
        pause = self._options.first_pause_seconds
        while True:
            try:
                async with aclosing(self._follow(start, end)) as batches:
                    async for events in batches:
                        pause = self._options.first_pause_seconds
                        if events:
                            yield events
            except CallError as failure:
                if self._link.closed:
                    raise StoreUnavailableError(f"the store {self._link.address} was closed") from None
                if failure.trouble is Trouble.REFUSED:
                    raise StoreUnavailableError(
                        f"the store {self._link.address} refused a watch: {failure.text}"
                    ) from None
                log.info("a watch broke and begins again", extra={"revision": self.position, "why": failure.text})
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._options.last_pause_seconds)

    async def _follow(self, start: str, end: str) -> AsyncGenerator[Sequence[Event]]:
        """Yield what one stream tells, also the empty news that it goes on."""
        self._held = []
        # etcd still answers from the compacted revision itself, where deletes are missing: ask from the one before.
        request = self._names.watch(start, end, max(1, self.position - 1))
        async with self._link.stream(lambda member: member.watch.Watch, request) as stream:
            while True:
                yield self._read(await self._link.receive(stream))

    def _read(self, answer: Message) -> Sequence[Event]:
        """Take in one message and return the events that are whole."""
        if answer.compact_revision:
            self._on_compacted(answer.compact_revision)
            raise CompactedError(self.position, answer.compact_revision + 1)
        if answer.canceled:
            raise classify("UNKNOWN", answer.cancel_reason or "the watch was cancelled")
        if answer.created:
            return ()
        events = self._held
        events += [self._names.event(event) for event in answer.events if event.kv.mod_revision >= self.position]
        self._held = []
        if answer.fragment:
            last = events[-1].revision if events else 0
            self._held = [event for event in events if event.revision == last]
            events = events[: len(events) - len(self._held)]
        if events:
            self.position = events[-1].revision + 1
        elif not answer.events and not answer.fragment:
            self.position = max(self.position, answer.header.revision + 1)  # progress
        return events


async def compacted_revision(link: Link, names: Namespace, known: int, seconds: float) -> int:
    """
    Ask which revision is compacted, by a watch that etcd refuses for it.

    Args:
        link: The line to etcd.
        names: The keys.
        known: A revision that is certainly older than the compacted one.
        seconds: How long to wait for the answer.

    Raises:
        CallError: It does not answer.
    """
    request = names.watch("", "\0", max(1, known))
    try:
        async with asyncio.timeout(seconds), link.stream(lambda member: member.watch.Watch, request) as stream:
            while True:
                answer = await link.receive(stream)
                if answer.compact_revision:
                    return int(answer.compact_revision)
    except TimeoutError:
        raise CallError(Trouble.AWAY, "no answer to a watch") from None
