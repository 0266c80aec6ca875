"""
What people do: submit, and submit again when they do not know; kill; ask again; take out of quarantine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from tests.simulation.engine import EngineDownError, Engines
from tests.simulation.history import History
from tests.simulation.work import PLANS, inputs, template
from tests.simulation.world import World

from airscrew.engine.api.model import ApiError, ListRequest, SubmitRequest
from airscrew.engine.core import Core
from airscrew.engine.data.errors import StorageError
from airscrew.engine.machine import SWEEP
from airscrew.idl.ids import ExecutionId, Uid, attempt_key
from airscrew.state import keys
from airscrew.state.errors import StoreError
from airscrew.state.records import LedgerEntry, LedgerState, Request, Stage, decode, encode
from airscrew.state.store import Delete, Put, prefix_end

INPUTS_AT = "/nowhere/inputs/x.pb"
INLINE, TOO_LARGE_TO_INLINE = 10, 10_000

OUTCOMES = ("succeeded", "succeeded", "succeeded", "succeeded", "flaky", "hasty", "broken")


@dataclass(slots=True)
class Users:
    """
    All people of a run.

    Attributes:
        world: The run.
        engines: Whom they ask.
        history: What is stored.
        dice: What they decide.
        acknowledged: Who was told what: name to UID.
        killed: Names that somebody asked to kill, acknowledged or not.
        cleared: Attempt keys that somebody struck off the ledger while faults went on.
        damages: Where, among the events, lie bytes that nobody can read.
        words: Attempt keys of starts that came late, of executions whose names others have by now.
    """

    world: World
    engines: Engines
    history: History
    dice: Random
    acknowledged: dict[str, str] = field(default_factory=dict)
    killed: set[str] = field(default_factory=set)
    cleared: set[str] = field(default_factory=set)
    damages: list[str] = field(default_factory=list)
    words: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Do all that is to be done; ends when everything is acknowledged."""
        count = self.world.plan.executions
        kinds = [kind.id for kind in self.engines.kinds]
        self.dice.shuffle(kinds)
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                kind = kinds[number] if number < 4 else self.dice.choice(self.world.plan.kinds or kinds)
                delay = self.dice.choice((0.0, 3.0, 40.0)) * self.dice.random()
                group.create_task(self._one(f"e{number}-{kind}", self._request(f"e{number}-{kind}", kind), delay))
            group.create_task(self._touch())
            group.create_task(self._look_around())
            for at in self.world.plan.compactions:
                group.create_task(self._compact(at))
            for at in self.world.plan.prunes:
                group.create_task(self._prune(at))
            for at in self.world.plan.words:
                group.create_task(self._leave_word(at))
            for number, at in enumerate(self.world.plan.damages):
                group.create_task(self._damage(at, number))

    def _request(self, name: str, kind: str) -> SubmitRequest:
        dice = self.dice
        cached = kind == "cached" and dice.random() < 0.6
        outcome = "succeeded" if cached else dice.choice(OUTCOMES)
        custom: dict[str, object] = {
            "seconds": dice.choice((0, 2, 10, 30, 100)) if not cached else 10,
            "outcome": outcome,
            "stubborn": dice.choice((0, 0, 1, 3)),
        }
        if kind == "dynamic":
            custom |= {"plan": dice.choice(sorted(PLANS)), "seconds": 3}
            custom["outcome"] = outcome if dice.random() < self.world.plan.failing else "succeeded"
        if kind == "keyed" and dice.random() < 0.1:
            custom["huge"] = True
        if kind == "plain" and dice.random() < 0.3 * self.world.plan.eagerness:
            custom["eager"] = True
        elif kind == "plain" and dice.random() < 0.2 * self.world.plan.eagerness:
            custom["swollen"] = True
        takes = kind != "cached" and dice.random() < 0.4
        raw = template(
            kind,
            tuple(custom.items()),
            cached=cached,
            retries=dice.choice((0, 1, 2)),
            serial=dice.random() < 0.7,
            takes=takes,
        )
        timeouts = {}
        if dice.random() < 0.25:
            timeouts = {dice.choice(("attempt", "pending", "total", "queued")): dice.choice((1.0, 8.0, 25.0, 60.0))}
        if not takes:
            return SubmitRequest(name=name, template=raw, timeouts=timeouts)
        place = dice.choice(("inline", "large", "elsewhere"))
        given = b"" if place == "elsewhere" else inputs(INLINE if place == "inline" else TOO_LARGE_TO_INLINE)
        self.world.files[INPUTS_AT] = inputs(INLINE)
        uri = INPUTS_AT if place == "elsewhere" else ""
        return SubmitRequest(name=name, template=raw, timeouts=timeouts, inputs=given, input_uri=uri)

    async def _one(self, name: str, request: SubmitRequest, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._submit(name, request)
        dice = self.dice
        if dice.random() < 0.3:
            await asyncio.sleep(dice.random() * 30)
            await self._submit(name, request)
        if dice.random() < 0.35:
            await asyncio.sleep(dice.choice((0.0, 1.0, 10.0, 60.0)) * dice.random())
            await self._kill(name, force=dice.random() < 0.2)
            if dice.random() < 0.3:
                await asyncio.sleep(dice.random() * 5)
                await self._kill(name, force=dice.random() < 0.5)
        while dice.random() < min(0.3 * self.world.plan.eagerness, 0.7):
            await asyncio.sleep(dice.random() * dice.choice((10, 30, 100)))
            await self._again(name)

    async def _submit(self, name: str, request: SubmitRequest) -> None:
        while True:
            try:
                reply = await self.engines.ask(lambda core: core.api.submit(request))
            except (EngineDownError, ApiError) as error:
                away = "the inputs cannot be read" in str(error)
                if isinstance(error, ApiError) and error.code not in {"unavailable", "full"} and not away:
                    self.world.violate(f"the submission of {name} is refused: {error.code}: {error}")
                    return
                await asyncio.sleep(0.2 + self.dice.random() * 3)
                continue
            self.world.story.add("user", f"{reply.execution} is acknowledged, created={reply.created}")
            before = self.acknowledged.get(reply.execution, reply.uid)
            self.acknowledged[reply.execution] = reply.uid
            if before != reply.uid and not self.history.is_pruned(reply.execution, before):
                self.world.violate(f"5: {name} was acknowledged as {before} and as {reply.uid}")
            return

    async def _kill(self, name: str, *, force: bool) -> None:
        self.killed.add(f"default/{name}")
        while True:
            try:
                await self.engines.ask(lambda core: core.api.kill(f"default/{name}", "not wanted", force=force))
            except (EngineDownError, ApiError, StoreError) as error:
                if isinstance(error, ApiError) and error.code == "not_found":
                    if self.history.is_pruned(f"default/{name}"):
                        return
                    self.world.violate(f"5: {name} was acknowledged and is not found by a kill")
                    return
                await asyncio.sleep(0.2 + self.dice.random() * 3)
            else:
                self.world.story.add("user", f"kill of {name} is acknowledged, force={force}")
                return

    async def _look_around(self) -> None:
        """Read whatever can be read, now and then; nothing of it may change anything."""
        dice = self.dice
        questions: tuple[Callable[[Core, str], Awaitable[object]], ...] = (
            lambda core, name: core.api.get(name),
            lambda core, name: core.api.outputs(name),
            lambda core, _: core.api.list(ListRequest(active=True)),
            lambda core, _: core.api.leaks(),
            lambda core, _: core.api.prune(older_than_seconds=0.0, dry_run=True),
            self._clear,
            self._run_again,
            self._retry,
            _watched,
            _logged,
        )
        eagerness = self.world.plan.eagerness
        if eagerness > 1:
            questions += (
                lambda core, _: core.api.quotas(),
                _watched,
                _watched,
                self._clear,
                self._clear,
                self._clear,
                self._retry,
                self._retry,
            )
        for _ in range(int(dice.randint(0, 24) * eagerness)):
            await asyncio.sleep(dice.random() * 10 / eagerness)
            question = dice.choice(questions)
            if self.acknowledged:
                name = dice.choice(sorted(self.acknowledged))
                with suppress(EngineDownError, ApiError, StoreError, StorageError):
                    await self.engines.ask(lambda core: question(core, name))  # noqa: B023 - awaited at once

    async def _again(self, name: str) -> None:
        """Run once more what has ended."""
        with suppress(EngineDownError, ApiError, StoreError):
            await self.engines.ask(lambda core: self._run_again(core, f"default/{name}"))

    async def _run_again(self, core: Core, name: str) -> None:
        reply = await core.api.retry(name, force=True)
        if reply.created:
            self.world.story.add("user", f"{name} runs again as {reply.execution}")
            self.acknowledged[reply.execution] = reply.uid

    async def _retry(self, core: Core, _: str) -> None:
        """Take what is in quarantine out of it."""
        for name, record in list(self.history.records.items()):
            if record.quarantine:
                await core.api.retry(name)

    async def _clear(self, core: Core, _: str) -> None:
        """Strike off what nobody knows of, or try to strike off what is not there."""
        unknown = [leak.key for leak in await core.api.leaks() if leak.state == "unknown"]
        self.cleared.update(unknown)
        for key in unknown or ["nobody's"]:
            await core.api.clear_leak(key)

    async def _prune(self, at: float) -> None:
        """Forget what is over; now and then by hand, and with it something of which nobody knows what is left."""
        dice = self.dice
        await asyncio.sleep(at)
        for name, record in list(self.history.records.items()):
            if record.stage is Stage.DONE and dice.random() < 0.5:
                self._ask_by_hand(name)
        older, keep = dice.choice((0.0, 0.0, 5.0)), dice.choice((0, 0, 2))
        with suppress(EngineDownError, ApiError, StoreError):
            names = await self.engines.ask(lambda core: core.api.prune(older_than_seconds=older, keep=keep))
            self.world.story.add("user", f"prunes {', '.join(names)}")
        if self.history.pruned and dice.random() < 0.5:
            self._ask_by_hand(dice.choice(self.history.pruned)[0])
        if dice.random() < 0.5:
            await self._remove_by_hand()

    def _ask_by_hand(self, name: str) -> None:
        """Leave a request to what is over or gone, which nothing is to come of."""
        key = keys.request_key(ExecutionId.parse(name), "retry")
        self.world.story.add("operator", f"puts {key}")
        self.engines.store.apply([], [Put(key, encode(Request(what="retry")))])

    async def _remove_by_hand(self) -> None:
        store = self.engines.store
        page = await store.inner.range(keys.LEDGER, prefix_end(keys.LEDGER))
        for item in page.items:
            entry = decode(item.value, LedgerEntry)
            name, record = entry.execution, self.history.records.get(entry.execution)
            if record is None or record.stage is not Stage.DONE or record.uid != entry.uid:
                continue
            if entry.state is not LedgerState.UNKNOWN:
                continue
            execution = ExecutionId.parse(name)
            self.world.story.add("operator", f"deletes {name} from the store")
            store.apply([], [Delete(keys.record_key(execution)), Delete(keys.spec_key(execution))])
            await self._clear_one(item.key.rpartition("/")[2])

    async def _clear_one(self, key: str) -> None:
        self.cleared.add(key)
        while True:
            try:
                await self.engines.ask(lambda core: core.api.clear_leak(key))
            except ApiError as error:
                if error.code == "not_found":
                    return
                await asyncio.sleep(1.0)
            except (EngineDownError, StoreError):
                await asyncio.sleep(1.0)
            else:
                return

    async def _damage(self, at: float, number: int) -> None:
        """Leave bytes among the events that nobody can read."""
        await asyncio.sleep(at)
        key = keys.event_key(0, number + 1)
        self.world.fault("event damaged")
        self.world.story.add("operator", f"damages {key}")
        self.damages.append(key.removeprefix(keys.EVENTS))
        self.engines.store.apply([], [Put(key, b'[{"id": \xff')])

    async def _leave_word(self, at: float) -> None:
        """
        Leave word of a late start as an engine does that stood still: between a pruner's look and its delete.

        The name was taken again since, and nobody has seen the word yet.
        """
        await asyncio.sleep(at)
        dice, store = self.dice, self.engines.store
        if not self.history.options:
            return
        name = dice.choice(sorted(self.history.options))
        earlier, attempt = Uid(f"{dice.getrandbits(128):032x}"), dice.randint(0, 2)
        key = keys.request_key(ExecutionId.parse(name), f"{SWEEP}-{attempt}")
        if await store.inner.get(key) is not None:
            return
        since = self.world.loop.time()
        word = Request(what=SWEEP, at=since + 1.0, uid=earlier, attempt=attempt, since=since, executor="listed")
        self.world.fault("word of an earlier execution")
        self.world.story.add("stranger", f"puts {key}")
        self.words.add(attempt_key(self.history.installation, earlier, attempt))
        store.apply([], [Put(key, encode(word))])

    async def clear_leaks(self) -> None:
        """Strike off what a person has looked after."""
        for leak in await self.engines.ask(lambda core: core.api.leaks()):
            if leak.state == "unknown":
                await self._strike_off(leak.key)
        await asyncio.sleep(30)

    async def _strike_off(self, key: str) -> None:
        try:
            await self.engines.ask(lambda core: core.api.clear_leak(key))
        except ApiError as error:
            if error.code != "not_found":  # the engine came to know of it after the list was read
                raise

    async def make_room(self) -> None:
        """Strike off what keeps units of a quota for good: nobody can tell what came of its start."""
        if not self.world.plan.quotas:
            return
        try:
            for leak in await self.engines.ask(lambda core: core.api.leaks()):
                if leak.state == "unknown":
                    self.cleared.add(leak.key)
                    await self.engines.ask(lambda core, key=leak.key: core.api.clear_leak(key))
        except (EngineDownError, ApiError, StoreError):
            return

    async def retry_quarantined(self) -> None:
        """Take everything out of quarantine."""
        for name, record in list(self.history.records.items()):
            if record.quarantine:
                self.world.fault("quarantined")
                try:
                    await self.engines.ask(lambda core, name=name: core.api.retry(name))
                except (EngineDownError, ApiError, StoreError):
                    continue

    async def _touch(self) -> None:
        """Put a record once more as it is, as a tool of an operator might: its revision changes under the engine."""
        if self.dice.random() < 0.5:
            return
        inner = self.engines.store.inner
        for _ in range(self.dice.randint(1, 12)):
            await asyncio.sleep(self.dice.random() ** 2 * 20)
            if self.world.calm:
                return
            page = await inner.range(keys.RECORDS, prefix_end(keys.RECORDS))
            if page.items:
                item = self.dice.choice(page.items)
                self.world.fault("record touched")
                self.world.story.add("operator", f"puts {item.key} as it is")
                self.engines.store.apply([], [Put(item.key, item.value)])

    async def _compact(self, at: float) -> None:
        await asyncio.sleep(at)
        inner = self.engines.store.inner
        revision = (await inner.status()).revision - self.dice.choice((0, 0, 3, 30))
        if revision > 0:
            self.world.fault("compacted")
            self.world.story.add("store", f"compacts to revision {revision}")
            await inner.compact(revision)


async def _logged(core: Core, name: str) -> None:
    """Follow a log until its attempt is over."""
    async for _ in core.api.logs(name, follow=True):
        pass


async def _watched(core: Core, name: str) -> None:
    """Follow an execution until it is over, or for so many changes."""
    seen = 0
    async for view in core.api.watch(name):
        seen += 1
        if view.ended_at or seen > 20:
            return
