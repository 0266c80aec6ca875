"""
Objects that nobody comes back for: our finalizer taken off, and the objects deleted if that is wanted.

Guarantees: only objects with the installation's labels are touched, each by its UID; other finalizers stay; it ends
when a list shows that nothing is held any more, and what was deleted is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from airscrew.engine.errors import ExecutorError
from airscrew.engine.executor import Released
from airscrew.idl.json_tree import BAD_JSON
from airscrew.plugins.kubernetes import names
from airscrew.plugins.kubernetes.api.client import ObjectClient
from airscrew.plugins.kubernetes.pod_view import Metadata

LOOK_SECONDS = 1.0
AT_ONCE = 16
GRACE_SECONDS = 10
"""What a task that nobody waits for has to end: an uninstallation waits for it."""

PATIENCE_SECONDS = 120.0
NAMED = 5


class _Object(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()


@dataclass(frozen=True, slots=True)
class Release:
    """
    Lets go of objects of one kind.

    Attributes:
        client: Works on them.
        selector: The labels of those that are ours.
        namespaces: Where they are; one empty name for everywhere.
        delete: Whether they are deleted as well.
    """

    client: ObjectClient
    selector: str
    namespaces: Sequence[str]
    delete: bool

    async def run(self) -> Released:
        """
        Do it, and return when it is done.

        Raises:
            ExecutorError: Something is still there after two minutes; names it.
            ApiError: The API server refuses.
            OSError: It could not be asked.
        """
        seen: set[str] = set()
        left: list[Metadata] = []
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                left = await self._list()
                while left:
                    await self._each(item for item in left if item.uid not in seen or self._holds(item))
                    seen |= {item.uid for item in left}
                    await asyncio.sleep(LOOK_SECONDS)
                    left = [item for item in await self._list() if self.delete or self._holds(item)]
        except TimeoutError:
            some = ", ".join(f"{item.namespace}/{item.name}" for item in left[:NAMED])
            more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
            raise ExecutorError(
                f"{some}{more} still there after {PATIENCE_SECONDS:.0f} s: look for finalizers of others"
            ) from None
        return Released(objects=len(seen), deleted=len(seen) if self.delete else 0)

    def _holds(self, item: Metadata) -> bool:
        return names.FINALIZER in item.finalizers

    async def _list(self) -> list[Metadata]:
        """List what there is; an object that cannot be read has no name to call it by, and is left out."""
        found: list[Metadata] = []
        for namespace in self.namespaces:
            listing = await self.client.list(namespace, self.selector)
            for item in listing.items:
                try:
                    found.append(msgspec.json.decode(item, type=_Object).metadata)
                except BAD_JSON:
                    continue
        return found

    async def _each(self, items: Iterable[Metadata]) -> None:
        """Let go of objects, some at once."""
        turns = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(self._one(item, turns), name=f"release {item.name}")

    async def _one(self, item: Metadata, turns: asyncio.Semaphore) -> None:
        async with turns:
            if self.delete:
                await self.client.delete(item.namespace, item.name, item.uid, grace=GRACE_SECONDS)
            if self._holds(item):
                await self.client.let_go(item.namespace, item.name, item.uid, names.other_finalizers(item))
