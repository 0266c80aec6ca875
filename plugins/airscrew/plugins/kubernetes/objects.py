"""
What is known of an installation's objects of one kind: kept fresh by watches, and by lists now and then.

Guarantees:

1. Each object that an owner looks at lives in an ``AutoRefreshCache``, whose sync is one labelled, paged list per
   namespace; events of a watch update the same cache. Whatever brings a change wakes the owner of the attempt.
2. Without watches, by choice or for want of the right, the lists alone tell the right state within a period.
3. What cannot be read in a watch or a list is counted and left out; the others go on, and so does the watch.
4. News may come before the answer to the creation that it is about: it is kept for a while, and the older of the two
   never counts.
5. Nothing here writes to the cluster.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from random import Random
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import msgspec
from cachetools import TTLCache

from airscrew.engine.cache import AutoRefreshCache, Batch, CacheOptions, Measured, SyncResult, Updated, batches_by
from airscrew.engine.clock import Clock
from airscrew.idl.json_tree import BAD_JSON
from airscrew.plugins.kubernetes.api.client import Change, HistoryGoneError, ObjectClient
from airscrew.plugins.kubernetes.api.errors import ApiError
from airscrew.plugins.kubernetes.pod_view import Metadata

_log = logging.getLogger("airscrew.kubernetes")

RESYNC_SECONDS = 300.0
"""How often an object is listed that a watch tells of: the safety net."""

EARLY_SECONDS = 60.0
EARLY_SIZE = 4096
"""What a watch tells of objects that nobody looks at is kept so long, and of so many."""

RETRY_SECONDS = 1.0
RETRY_CAP_SECONDS = 60.0
AWAY_CAP_SECONDS = 8.0
"""An API server that is away is looked for more often: a connection that does not come about costs nobody anything."""

FORBIDDEN = frozenset({401, 403, 405})


class _View(Protocol):
    @property
    def metadata(self) -> Metadata: ...


ViewT = TypeVar("ViewT", bound=_View)


@dataclass(frozen=True, slots=True)
class Sighting(Generic[ViewT]):
    """
    An object as it was last seen.

    Attributes:
        namespace: Where it is.
        name: Its name.
        view: It; None when it was not there.
        is_known: Whether anybody has looked yet.
    """

    namespace: str
    name: str
    view: ViewT | None = None
    is_known: bool = False

    @property
    def is_gone(self) -> bool:
        """Whether somebody looked, and it was not there."""
        return self.is_known and self.view is None

    def is_newer_than(self, metadata: Metadata) -> bool:
        """Whether this is a later state of an object than another one."""
        if self.view is None:
            return self.is_known
        mine = self.view.metadata
        return mine.uid == metadata.uid and version_of(mine) > version_of(metadata)


def version_of(metadata: Metadata) -> int:
    """Return an object's version as a number, which grows with each change of it; 0 where it is none."""
    version = metadata.resource_version
    return int(version) if version.isdecimal() else 0


@dataclass(slots=True)
class WatchStatus:
    """
    How a watch stands.

    Attributes:
        heard_at: When it last told anything, or was first begun, monotonic seconds.
        restarts: How often it was begun.
        events: How many events it told.
        malformed: How many of them could not be read.
        trouble: Why it does not run; empty when it does.
    """

    heard_at: float
    restarts: int = 0
    events: int = 0
    malformed: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """
    Which objects are ours, and how they are followed.

    Attributes:
        selector: The labels of all that an installation makes.
        watch: Whether objects are watched, beside being listed.
        cluster_wide: Whether one watch and one list take in all namespaces.
        period: How often an object is listed that no watch tells of, seconds.
        size: How many objects are kept.
    """

    selector: str
    watch: bool = True
    cluster_wide: bool = False
    period: float = 10.0
    size: int = 100_000


class Objects(Generic[ViewT]):
    """
    The objects of one kind; open it with ``async with``.

    Args:
        client: Lists and watches them.
        decoder: Reads one.
        scope: Which, and how.
        clock: The time.
        random: Where jitter comes from.
        wake: Called with an object's name when it has changed.
        on_back: Called when a watch runs again that was in trouble.
    """

    def __init__(
        self,
        client: ObjectClient,
        decoder: msgspec.json.Decoder[ViewT],
        scope: Scope,
        *,
        clock: Clock,
        random: Random,
        wake: Callable[[str], None],
        on_back: Callable[[], None] = lambda: None,
    ) -> None:
        self.watches: dict[str, WatchStatus] = {}
        self._client = client
        self._decoder = decoder
        self._scope = scope
        self._clock = clock
        self._random = random
        self._wake = wake
        self._on_back = on_back
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._present: set[str] = set()
        self._early: MutableMapping[str, Sighting[ViewT]] = TTLCache[str, Sighting[ViewT], float](
            EARLY_SIZE, EARLY_SECONDS, timer=clock.monotonic
        )
        self._cache: AutoRefreshCache[Sighting[ViewT]] = AutoRefreshCache(
            f"kubernetes/{client.kind.plural}",
            sync=self._list,
            is_terminal=lambda sighting: sighting.is_gone,
            clock=clock,
            random=random,
            options=CacheOptions(
                period_seconds=RESYNC_SECONDS if scope.watch else scope.period,
                size=scope.size,
                concurrency=8,
                batch_size=scope.size,
                deadline_seconds=120.0,
                split_failed_batches=False,
            ),
            create_batches=batches_by(lambda item: "" if scope.cluster_wide else item.item.namespace),
            on_change=lambda _, sighting: wake(sighting.name),
        )

    async def __aenter__(self) -> Self:
        self._group = await asyncio.TaskGroup().__aenter__()
        await self._cache.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._group is not None
        for task in self._tasks:
            task.cancel()
        await self._cache.__aexit__(kind, error, trace)
        await self._group.__aexit__(None, None, None)

    @property
    def cache(self) -> Measured:
        """What they are kept in."""
        return self._cache

    def watch_age(self) -> float | None:
        """Return for how many seconds the most silent watch has told nothing; None when nothing is watched."""
        heard = [status.heard_at for status in self.watches.values()]
        return self._clock.monotonic() - min(heard) if heard else None

    def look(self, namespace: str, name: str) -> Sighting[ViewT]:
        """Return an object as it was last seen, and see to it that it is followed from now on."""
        self.follow(namespace)
        item = f"{namespace}/{name}"
        early = self._early.pop(item, None) if self._early else None
        return self._cache.get_or_create(item, early or Sighting(namespace, name))

    def saw(self, view: ViewT) -> Sighting[ViewT]:
        """
        Take in an object as the API server has just answered it; it is followed from now on.

        Returns:
            It as it is known now: a watch may have told something newer.
        """
        metadata = view.metadata
        self.follow(metadata.namespace)
        name = f"{metadata.namespace}/{metadata.name}"
        sighting = Sighting(metadata.namespace, metadata.name, view, is_known=True)
        known = self._early.pop(name, None) or self._cache.get(name)
        if known is not None and known.is_newer_than(metadata):
            sighting = known
        self._note(name, is_there=sighting.view is not None)
        self._cache.get_or_create(name, replace(sighting))
        self._cache.update(name, replace(sighting))  # nothing changes, and it need not be listed for a period
        if sighting.view is None:
            self._wake(metadata.name)
        return sighting

    def is_gone(self, namespace: str, name: str) -> None:
        """Take in that an object is not there any more."""
        self._note(f"{namespace}/{name}", is_there=False)
        self._cache.update(f"{namespace}/{name}", Sighting(namespace, name, is_known=True))

    def forget(self, namespace: str, name: str) -> None:
        """Follow an object no more."""
        self._note(f"{namespace}/{name}", is_there=False)
        self._cache.delete_delayed(f"{namespace}/{name}")

    def is_followed(self, namespace: str, name: str) -> bool:
        """Whether an object is one that somebody looks at."""
        return f"{namespace}/{name}" in self._cache

    def trouble(self, namespace: str, name: str) -> str:
        """Say why an object is not heard of at the moment; empty when it is."""
        status = self._cache.inspect(f"{namespace}/{name}")
        return status.last_error if status and status.errors > 1 else ""

    def __len__(self) -> int:
        return len(self._cache)

    def decode(self, data: bytes | msgspec.Raw) -> ViewT | None:
        """Read an object; None when that cannot be done, which is counted."""
        try:
            return self._decoder.decode(data)
        except BAD_JSON:
            return None

    async def _list(self, batch: Batch[Sighting[ViewT]]) -> list[SyncResult[Sighting[ViewT]]]:
        """Answer for a namespace's objects, or for all of them, by one list."""
        namespace = "" if self._scope.cluster_wide else batch[0].item.namespace
        listing = await self._client.list(namespace, self._scope.selector)
        views = (view for item in listing.items if (view := self.decode(item)) is not None)
        found = {f"{view.metadata.namespace}/{view.metadata.name}": view for view in views}
        return [Updated(item.id, replace(item.item, view=found.get(item.id), is_known=True)) for item in batch]

    def follow(self, namespace: str) -> None:
        """Watch a namespace, or all of them, from the first object there on."""
        where = "" if self._scope.cluster_wide else namespace
        if not self._scope.watch or where in self.watches:
            return
        assert self._group is not None
        status = self.watches[where] = WatchStatus(self._clock.monotonic())
        task = self._group.create_task(self._watch_for_ever(where, status), name=f"watch-{where or 'all'}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch_for_ever(self, namespace: str, status: WatchStatus) -> None:
        """Watch, and begin again whatever ends it; without the right to watch, look again now and then."""
        pause, version = RETRY_SECONDS, ""
        while True:
            status.restarts += 1
            try:
                if not version:
                    version = await self._list_all(namespace)
                    self._is_back(status)
                async for change in self._client.watch(namespace, self._scope.selector, version):
                    version = change.version or version
                    pause = RETRY_SECONDS
                    self._take(change, status)
            except HistoryGoneError:
                version = ""
                continue
            except ApiError as error:
                status.trouble, version, pause = str(error), "", max(pause, error.retry_after)
                if error.status in FORBIDDEN:  # then the list that comes before the next try tells how all stand
                    await asyncio.sleep(self._scope.period)
                    continue
            except OSError as error:
                status.trouble = str(error)
                if isinstance(error, ConnectionRefusedError):  # away: how all stand is asked as soon as it is back
                    version, pause = "", min(pause, AWAY_CAP_SECONDS)
            except Exception as error:  # noqa: BLE001  # a wall: the watch must not end for a defect in what reads it
                _log.exception("a watch failed", extra={"kind": str(self._client.kind)})
                status.trouble, version = repr(error), ""
            else:
                continue
            await asyncio.sleep(pause * (0.5 + self._random.random()))
            pause = min(pause * 2, RETRY_CAP_SECONDS)

    def _is_back(self, status: WatchStatus) -> None:
        """Tell those who could not reach the API server that it can be reached again."""
        if status.trouble:
            status.trouble = ""
            self._on_back()

    async def _list_all(self, namespace: str) -> str:
        """List what is there, and tell what is not there any more of what was there before the list began."""
        before = {one for one in self._present if not namespace or one.startswith(f"{namespace}/")}
        listing = await self._client.list(namespace, self._scope.selector)
        for item in listing.items:
            view = self.decode(item)
            if view is not None:
                before.discard(f"{view.metadata.namespace}/{view.metadata.name}")
                self._push(view.metadata, view)
        for gone in sorted(before):
            self.is_gone(*gone.split("/", 1))
        return listing.version

    def _take(self, change: Change, status: WatchStatus) -> None:
        status.heard_at, status.trouble = self._clock.monotonic(), ""
        if change.item is None:
            return
        status.events += 1
        view = self.decode(change.item)
        if view is None:
            status.malformed += 1
        else:
            self._push(view.metadata, None if change.is_deleted else view)

    def _push(self, metadata: Metadata, view: ViewT | None) -> None:
        """Tell the cache; it knows of those alone that somebody looks at."""
        name = f"{metadata.namespace}/{metadata.name}"
        self._note(name, is_there=view is not None)
        sighting = Sighting(metadata.namespace, metadata.name, view, is_known=True)
        if not self._cache.update(name, sighting) and name not in self._cache:
            self._early[name] = sighting

    def _note(self, name: str, *, is_there: bool) -> None:
        if is_there:
            self._present.add(name)
        else:
            self._present.discard(name)
