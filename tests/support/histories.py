"""
Workloads that make histories of a store: Hypothesis draws them, ``record`` runs them, the checker judges.

A workload is some rounds. In each a few callers run programs side by side while the disk fails as drawn; the store may
be closed under them and opened again. A watch of all keys looks on through all of it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st
from typing_extensions import override

from airscrew.state.errors import StoreUnavailableError
from airscrew.state.sqlite import Seam
from airscrew.state.store import ANY, Compare, Delete, DeleteRange, Event, Operation, Put, Store
from airscrew.state.testing.history import History
from airscrew.state.testing.linearizability import Content, by_revision, check_history

KEYS = ("a", "b", "c", "d")
LAST, END = "y", "z"
PATIENCE = 30.0


@dataclass(frozen=True)
class Step:
    """One thing that a caller does: to which keys, on which condition, after how many turns of the loop."""

    what: str
    keys: tuple[str, ...]
    condition: str = ""
    pause: int = 0


@dataclass(frozen=True)
class Round:
    """What the callers do at once, how the disk fares meanwhile, and after how many turns the store is closed."""

    programs: tuple[tuple[Step, ...], ...]
    fates: tuple[str, ...] = ()
    close_after: int | None = None


def steps() -> st.SearchStrategy[Step]:
    keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=2, unique=True).map(tuple)
    return st.builds(
        Step,
        st.sampled_from(["get", "get", "range", "put", "put", "put", "delete", "clear"]),
        keys,
        st.sampled_from(["", "", "seen", "seen", "new", "any"]),
        st.integers(0, 3),
    )


def rounds(*, callers: int = 4, faulty: bool = False) -> st.SearchStrategy[list[Round]]:
    """Draw a workload."""
    fates = st.lists(st.sampled_from(["well", "well", "before", "after", "shut"]), max_size=8).map(tuple)
    program = st.lists(steps(), min_size=1, max_size=6).map(tuple)
    one = st.builds(
        Round,
        st.lists(program, min_size=2, max_size=callers).map(tuple),
        fates if faulty else st.just(()),
        st.one_of(st.none(), st.integers(0, 12)),
    )
    return st.lists(one, min_size=1, max_size=4)


class Fates(Seam):
    """A disk whose next commits fail as told: before they are written, after, or with the file shut for a while."""

    def __init__(self) -> None:
        self.coming: deque[str] = deque()
        self.shut = 0
        self.met = 0

    @override
    def connect(self, path: Path) -> sqlite3.Connection:
        if self.shut:
            self.shut -= 1
            raise sqlite3.OperationalError("unable to open database file")
        return super().connect(path)

    @override
    def commit(self, write: Callable[[], object]) -> None:
        fate = self.coming.popleft() if self.coming else "well"
        self.met += fate != "well"
        if fate == "before":
            raise sqlite3.OperationalError("disk I/O error")
        write()
        if fate == "shut":
            self.shut = 2
        if fate in {"after", "shut"}:
            raise sqlite3.OperationalError("disk I/O error")


@dataclass
class Caller:
    """Runs a program, and conditions its writes on what it has seen."""

    store: Store
    number: int
    prefix: str
    seen: dict[str, int] = field(default_factory=dict)
    writes: int = 0

    async def run(self, program: Sequence[Step]) -> None:
        for step in program:
            for _ in range(step.pause):
                await asyncio.sleep(0)
            with suppress(StoreUnavailableError):
                await self.do(step, [self.prefix + key for key in step.keys])

    async def do(self, step: Step, keys: list[str]) -> None:
        match step.what:
            case "get":
                found = await self.store.get(keys[0])
                self.seen[keys[0]] = 0 if found is None else found.mod_revision
            case "range":
                page = await self.store.range(self.prefix, self.prefix + END, limit=3)
                self.seen |= {item.key: item.mod_revision for item in page.items}
            case what:
                await self.write(what, step.condition, keys)

    async def write(self, what: str, condition: str, keys: list[str]) -> None:
        wanted = {"seen": self.seen.get(keys[0], 0), "new": 0, "any": ANY}
        compares = [Compare(keys[0], wanted[condition])] if condition else []
        self.writes += 1
        value = f"{self.number}.{self.writes}".encode()
        operations: list[Operation] = [Put(key, value) for key in keys] if what == "put" else []
        operations += [Delete(key) for key in keys] if what == "delete" else []
        operations += [DeleteRange(self.prefix + KEYS[1], self.prefix + KEYS[3])] if what == "clear" else []
        result = await self.store.txn(compares, operations)
        if result.succeeded and what == "put":
            self.seen |= dict.fromkeys(keys, result.revision)


@dataclass
class Onlooker:
    """Watches all keys, over all lives of the store."""

    prefix: str
    position: int
    batches: list[Sequence[Event]] = field(default_factory=list)

    async def watch(self, store: Store) -> None:
        """Watch until the store is closed, or the task is cancelled."""
        while True:
            try:
                async for batch in store.watch(self.prefix, self.prefix + END, from_revision=self.position):
                    assert batch[0].revision >= self.position, "a watch told a revision again"
                    self.batches.append(batch)
                    self.position = batch[-1].revision + 1
            except StoreUnavailableError as error:
                if "closed" in str(error):
                    return
                await asyncio.sleep(0.001)


@dataclass
class Recording:
    """
    A workload that is run against a store.

    Attributes:
        make: Opens the store; the same one each time.
        faults: Its disk, when it has one that can fail.
        prefix: Of all keys.
        history: What was asked and answered.
        shared: Whether others write to the store too.
    """

    make: Callable[[], AbstractAsyncContextManager[Store]]
    faults: Fates | None = None
    prefix: str = ""
    history: History = field(default_factory=History)
    shared: bool = False

    async def run(self, workload: Sequence[Round]) -> None:
        """Run a workload and judge its history; raises ``NotLinearizableError``."""
        async with self.make() as store:
            page = await store.range(self.prefix, self.prefix + END)
        begin = Content(page.revision, tuple(page.items))
        onlooker = Onlooker(self.prefix, page.revision + 1)
        for one in workload:
            await self.round(one, onlooker)
        async with self.make() as store, asyncio.TaskGroup() as group:
            recorded = self.history.recording(store, 0)
            last = await recorded.txn((), [Put(self.prefix + LAST, b"last")])
            await recorded.range(self.prefix, self.prefix + END)
            watching = group.create_task(onlooker.watch(store))
            async with asyncio.timeout(PATIENCE):
                while onlooker.position <= last.revision:  # noqa: ASYNC110 - the watch has no end of its own
                    await asyncio.sleep(0)
            watching.cancel()
        check_history(self.history.calls, begin=begin, told=by_revision(onlooker.batches), shared=self.shared)

    async def round(self, one: Round, onlooker: Onlooker) -> None:
        async with asyncio.TaskGroup() as group:
            async with self.make() as store:
                watching = group.create_task(onlooker.watch(store))
                if self.faults is not None:
                    self.faults.coming = deque(one.fates)
                running = [self.start(group, store, number, one) for number in range(1, len(one.programs) + 1)]
                if one.close_after is None:
                    await asyncio.wait(running)
                else:
                    for _ in range(one.close_after):
                        await asyncio.sleep(0)
                if self.faults is not None:
                    self.faults.coming.clear()
            watching.cancel()
            if self.faults is not None:
                self.faults.shut = 0

    def start(self, group: asyncio.TaskGroup, store: Store, number: int, one: Round) -> asyncio.Task[None]:
        caller = Caller(self.history.recording(store, number), number, self.prefix)
        return group.create_task(caller.run(one.programs[number - 1]))
