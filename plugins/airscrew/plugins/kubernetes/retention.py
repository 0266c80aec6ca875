"""
Finished objects that are kept for a while, for people to look at.

Guarantees:

1. What is kept has ended, is nobody's any more for the engine (no finalizer, no ledger entry), and says itself until
   when it stays: a label and an annotation, written in the one patch that lets it go.
2. It is deleted when that is over, or when there are more than so many in its namespace, the oldest first; by
   whichever engine looks first, and only if it is the one that was seen.
3. A namespace is looked at from the first task there on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Self

import msgspec

from airscrew.engine.clock import Clock
from airscrew.idl.json_tree import BAD_JSON
from airscrew.plugins.kubernetes.api.client import ObjectClient
from airscrew.plugins.kubernetes.api.errors import ApiError
from airscrew.plugins.kubernetes.names import EXPIRES, FINISHED
from airscrew.plugins.kubernetes.pod_view import Metadata

_log = logging.getLogger("airscrew.kubernetes")

LOOK_SECONDS = 30.0


class _Kept(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()


_decoder = msgspec.json.Decoder(_Kept)


@dataclass(slots=True, kw_only=True)
class Retention:
    """
    Keeps finished objects, and deletes them when their time is over; open it with ``async with``.

    Attributes:
        client: Reaches them.
        selector: The labels of all that an installation makes.
        seconds: How long each is kept.
        count: How many are kept in a namespace; 0 for no limit.
        cluster_wide: Whether one list takes in all namespaces.
        clock: The time.
        random: Where jitter comes from.
    """

    client: ObjectClient
    selector: str
    seconds: float
    count: int
    cluster_wide: bool
    clock: Clock
    random: Random
    _namespaces: set[str] = field(default_factory=set[str])
    _group: asyncio.TaskGroup | None = None
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._group = await asyncio.TaskGroup().__aenter__()
        self._task = self._group.create_task(self._run(), name=f"retention-{self.client.kind.plural}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._group is not None
        if self._task is not None:
            self._task.cancel()
        await self._group.__aexit__(None, None, None)

    def follow(self, namespace: str) -> None:
        """Look at a namespace, or at all of them, from now on."""
        self._namespaces.add("" if self.cluster_wide else namespace)

    async def keep(self, namespace: str, name: str, uid: str, finalizers: Sequence[str]) -> None:
        """
        Let an object go and have it stay for a while.

        Raises:
            ApiError: The API server refuses.
            OSError: It could not be asked.
        """
        self.follow(namespace)
        until = f"{self.clock.now() + self.seconds:.0f}"
        said = {"labels": {FINISHED: "true"}, "annotations": {EXPIRES: until}}
        await self.client.let_go(namespace, name, uid, finalizers, said)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS * (0.75 + 0.5 * self.random.random()))
            for namespace in sorted(self._namespaces):
                try:
                    await self._look(namespace)
                except (ApiError, OSError) as error:
                    details = {"namespace": namespace, "error": str(error)}
                    _log.warning("finished objects could not be looked at", extra=details)

    async def _look(self, namespace: str) -> None:
        listing = await self.client.list(namespace, f"{self.selector},{FINISHED}=true")
        kept = [metadata for item in listing.items for metadata in _read(item)]
        for one in over(kept, self.clock.now(), self.count):
            await self.client.delete(one.namespace, one.name, one.uid)


def _read(item: msgspec.Raw) -> Iterator[Metadata]:
    """Read whose an object is; what cannot be read stays."""
    try:
        yield _decoder.decode(item).metadata
    except BAD_JSON:
        return


def over(kept: Iterable[Metadata], now: float, count: int) -> list[Metadata]:
    """
    Say what of all that is kept is to go. Pure.

    Args:
        kept: What there is.
        now: Unix seconds.
        count: How many may stay in a namespace; 0 for no limit.
    """
    gone: list[Metadata] = []
    staying: dict[str, list[Metadata]] = {}
    for one in sorted(kept, key=_expiry, reverse=True):
        there = staying.setdefault(one.namespace, [])
        if _expiry(one) <= now or (count and len(there) >= count):
            gone.append(one)
        else:
            there.append(one)
    return gone


def _expiry(metadata: Metadata) -> float:
    """Say until when an object stays; what does not say it can go."""
    text = metadata.annotations.get(EXPIRES, "")
    return float(text) if text.isdecimal() else 0.0
