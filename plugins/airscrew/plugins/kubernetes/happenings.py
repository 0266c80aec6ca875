"""
What the cluster tells of our objects by events: why a Pod is not scheduled, which Secret a volume waits for.

Guarantees:

1. One watch per namespace (or one in all), of the events about objects of one kind; what is not about an object of ours
   is dropped as it comes. What is kept is one event for each object, of so many objects.
2. It is told beside what the object itself says, and never instead of it: without the right to watch events, nothing
   but these reasons is missing.
3. An event is news of the moment at which it was last seen: whoever decides by it sees that too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from types import TracebackType
from typing import Self

import msgspec
from cachetools import LRUCache

from airscrew.engine.clock import Clock
from airscrew.idl.json_tree import BAD_JSON
from airscrew.plugins.kubernetes.api.client import HistoryGoneError, ObjectClient
from airscrew.plugins.kubernetes.api.connection import Connection
from airscrew.plugins.kubernetes.api.errors import ApiError
from airscrew.plugins.kubernetes.api.kinds import EVENT, Kind

_log = logging.getLogger("airscrew.kubernetes")

KEPT = 20_000
RETRY_SECONDS = 5.0
RETRY_CAP_SECONDS = 300.0
"""Without the right to watch events it is tried again so often at last."""

MESSAGE_LIMIT = 500


class _Object(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""


class _Event(msgspec.Struct, frozen=True, rename="camel"):
    involved_object: _Object = _Object()
    reason: str = ""
    message: str = ""


_decoder = msgspec.json.Decoder(_Event)


@dataclass(frozen=True, slots=True)
class Happening:
    """
    The last event about an object.

    Attributes:
        reason: Its word: ``FailedMount``.
        message: What it says to people.
        since: When this reason was first seen, engine time.
        seen: When it was last seen, engine time.
    """

    reason: str
    message: str
    since: float
    seen: float

    @property
    def text(self) -> str:
        """One line for people."""
        return f"{self.reason}: {self.message}" if self.message else self.reason


class Happenings:
    """
    The last event of each of our objects; open it with ``async with``.

    Args:
        connection: The way to the API server.
        kind: Of the objects.
        is_ours: Tells, by namespace and name, whether an object is followed.
        wake: Called with an object's name when there is news of it.
        repeats: Reasons whose repetition is news: something is decided by how long they last.
        normal: Whether events that are no warnings are told too.
        cluster_wide: Whether one watch takes in all namespaces.
        clock: The time.
        random: Where jitter comes from.
    """

    def __init__(
        self,
        connection: Connection,
        kind: Kind,
        *,
        is_ours: Callable[[str, str], bool],
        wake: Callable[[str], None],
        repeats: frozenset[str],
        normal: bool,
        cluster_wide: bool,
        clock: Clock,
        random: Random,
    ) -> None:
        self.trouble: dict[str, str] = {}
        self._client = ObjectClient(connection, EVENT)
        self._fields = f"involvedObject.kind={kind.kind}" + ("" if normal else ",type!=Normal")
        self._is_ours = is_ours
        self._wake = wake
        self._repeats = repeats
        self._cluster_wide = cluster_wide
        self._clock = clock
        self._random = random
        self._kept: LRUCache[str, Happening] = LRUCache(KEPT)
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        self._group = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._group is not None
        for task in self._tasks.values():
            task.cancel()
        await self._group.__aexit__(None, None, None)

    def follow(self, namespace: str) -> None:
        """Watch a namespace, or all of them, from now on."""
        where = "" if self._cluster_wide else namespace
        if where not in self._tasks:
            assert self._group is not None
            self._tasks[where] = self._group.create_task(self._watch(where), name=f"events-{where or 'all'}")

    def latest(self, uid: str) -> Happening | None:
        """Return the last event about an object; None when there was none."""
        return self._kept.get(uid)

    def forget(self, uid: str) -> None:
        """Keep nothing of an object any more."""
        self._kept.pop(uid, None)

    async def _watch(self, namespace: str) -> None:
        pause, version = RETRY_SECONDS, ""
        while True:
            try:
                version = version or await self._client.newest(namespace)
                async for change in self._client.watch(namespace, "", version, fields=self._fields):
                    version, pause = change.version or version, RETRY_SECONDS
                    self.trouble.pop(namespace, None)
                    if change.item is not None and not change.is_deleted:
                        self._take(change.item)
            except HistoryGoneError:
                version = ""
                continue
            except ApiError as error:
                version, pause = "", max(pause, error.retry_after)
                self.trouble[namespace] = str(error)
            except OSError as error:
                self.trouble[namespace] = str(error)
            except Exception as error:  # noqa: BLE001  # a wall: the watch must not end for a defect in what reads it
                _log.exception("a watch of events failed", extra={"namespace": namespace})
                self.trouble[namespace], version = repr(error), ""
            else:
                continue
            await asyncio.sleep(pause * (0.5 + self._random.random()))
            pause = min(pause * 2, RETRY_CAP_SECONDS)

    def _take(self, item: msgspec.Raw) -> None:
        for event in _read(item):
            about = event.involved_object
            if not self._is_ours(about.namespace, about.name):
                return
            now, before = self._clock.now(), self._kept.get(about.uid)
            message = event.message.strip()[:MESSAGE_LIMIT]
            if before is not None and (before.reason, before.message) == (event.reason, message):
                self._kept[about.uid] = replace(before, seen=now)
                if event.reason not in self._repeats:
                    return
            else:
                self._kept[about.uid] = Happening(event.reason, message, now, now)
            self._wake(about.name)


def _read(item: msgspec.Raw) -> Iterator[_Event]:
    """Read an event; what cannot be read tells nothing."""
    try:
        yield _decoder.decode(item)
    except BAD_JSON:
        return
