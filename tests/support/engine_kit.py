"""
An engine's loop in memory: controller, turns and committer over a store, with an executor that does as it is told.

``Rig`` opens it; ``Scripted`` is the executor and the world outside at once: what it has created lies in ``jobs``, by
the attempt's key. All of it runs on virtual time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import msgspec
from tests.support.faulty_store import FaultyStore
from tests.support.scripted import Scripted

from airscrew.engine.clock import Clock, LoopClock
from airscrew.engine.config import Quota
from airscrew.engine.controller.calls import Calls
from airscrew.engine.controller.commit import SUBMIT, Committer
from airscrew.engine.controller.controller import Controller
from airscrew.engine.controller.gates import Gate
from airscrew.engine.controller.host import Host
from airscrew.engine.controller.live import Live
from airscrew.engine.controller.ownership import Ownership, SoleOwner
from airscrew.engine.controller.ports import AttemptPlace, CacheAnswer, Outcome
from airscrew.engine.controller.shards import OpenShards
from airscrew.engine.controller.turn import Dispatch, Turns
from airscrew.engine.executor import (
    Locations,
)
from airscrew.engine.machine import ChildrenAtWork, Fact, JobGone, Policy, Traits, first_record
from airscrew.engine.metrics import NO_METERS, Meters
from airscrew.engine.quotas import Pools, QuotaDesk, following
from airscrew.engine.workqueue import WorkQueue
from airscrew.idl.ids import AttemptKey, ExecutionId, Uid, attempt_key
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.records import (
    LedgerEntry,
    Options,
    PhaseEvent,
    Record,
    Request,
    decode,
    decode_record,
    encode,
)
from airscrew.state.store import Put, prefix_end

INSTALLATION = "i" * 32
EPOCH = 1_000_000.0


class NoData:
    """A data plane that lets everything through: outputs lie where the attempt's key says."""

    def __init__(self) -> None:
        self.outcomes: deque[Outcome | Exception] = deque()
        self.template_errors: deque[Exception] = deque()

    def locations(self, place: AttemptPlace) -> Locations:
        base = f"memory:{place.key}"
        return Locations(
            input_uri=f"{base}/inputs.pb",
            input_prefix=base,
            output_prefix=base,
            raw_output_prefix=base,
            checkpoint_prefix=base,
            previous_checkpoint_prefix="",
            template_uri=f"{base}/task.pb",
        )

    def environment(self, place: AttemptPlace, max_attempts: int) -> dict[str, str]:
        return {}

    def access(self, place: AttemptPlace, locations: Locations) -> object:
        return None

    async def template(self, options: Options) -> object:
        if self.template_errors:
            raise self.template_errors.popleft()
        return options.template

    async def read_outcome(self, place: AttemptPlace, *_: object, **__: object) -> Outcome:
        outcome = self.outcomes.popleft() if self.outcomes else Outcome(output_uri=f"memory:{place.key}/outputs.pb")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@dataclass
class FakeCache:
    """A task cache that answers what it is told, and notes what it was given."""

    answers: deque[CacheAnswer | Exception] = field(default_factory=deque)
    put_uris: list[str] = field(default_factory=list)
    released: list[str] = field(default_factory=list)

    async def lookup(self, place: AttemptPlace) -> CacheAnswer:
        answer = self.answers.popleft() if self.answers else CacheAnswer(key="k")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def put(self, place: AttemptPlace, key: str, output_uri: str) -> None:
        self.put_uris.append(output_uri)

    async def release(self, place: AttemptPlace, key: str) -> None:
        self.released.append(key)

    def hold(self, place: AttemptPlace, key: str) -> None:
        pass

    def drop(self, place: AttemptPlace) -> None:
        pass

    async def run(self, wake: Callable[[ExecutionId], None]) -> None:
        await asyncio.Event().wait()


@dataclass
class FakeChildren:
    """Children that answer what they are told."""

    answers: deque[Fact] = field(default_factory=deque)
    killed: list[str] = field(default_factory=list)

    async def tend(self, live: Live) -> Fact:
        return self.answers.popleft() if self.answers else ChildrenAtWork(1, 0, "")

    async def kill(self, live: Live, reason: str) -> Fact:
        self.killed.append(reason)
        return JobGone()


def options(**changes: object) -> Options:
    """Make the immutable part of an execution."""
    made = Options(uid=Uid("0" * 32), digest="d", accepted_at=EPOCH, template="t", task_type="job", max_attempts=2)
    return msgspec.structs.replace(made, **changes)


def name_of(name: str) -> ExecutionId:
    return ExecutionId("default", name)


@dataclass
class Rig:
    """
    Everything that one engine after the other needs: the store, the executor, the policy.

    Attributes:
        executor: The executor of all tasks.
        store: Survives the engines.
        policy: The operator's.
        data: The data plane.
        cache: The task cache.
        children: The children.
        clock: Virtual.
        limit: How many executions may be live at once.
        meters: Where it is counted what happens.
        outside: Where the jobs run.
        pools: The quotas that are set.
        says_needs: Whether the executor is asked what its tasks take of them.
        heeds_others: Whether those count who wait at other engines.
        desk: Holds starts back, in the life that runs; None without quotas.
    """

    executor: Scripted = field(default_factory=Scripted)
    store: FaultyStore = field(default_factory=FaultyStore)
    policy: Policy = field(default_factory=Policy)
    data: NoData = field(default_factory=NoData)
    cache: FakeCache = field(default_factory=FakeCache)
    children: FakeChildren = field(default_factory=FakeChildren)
    clock: Clock = field(default_factory=lambda: LoopClock(EPOCH))
    limit: int | None = None
    finalizes: bool = False
    uses_cache: bool = True
    absent: str = ""
    stopping: bool = False
    owner: Ownership = field(default_factory=SoleOwner)
    shards: OpenShards = field(default_factory=OpenShards.all)
    meters: Meters = NO_METERS
    outside: str = "external"
    pools: dict[str, Quota] = field(default_factory=dict)
    says_needs: bool = False
    heeds_others: bool = True
    desk: QuotaDesk | None = None
    lives: int = 0
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    controller: Controller | None = None
    gate: Gate = field(init=False)

    async def submit(self, name: str = "a", **changes: object) -> ExecutionId:
        """Accept an execution as the service does."""
        execution = name_of(name)
        uid = Uid(f"{name:0>32}"[-32:])
        made = options(**{"uid": uid, "accepted_at": self.clock.now(), **changes})
        request = Request(what=SUBMIT, at=self.clock.now())
        await self.store.inner.txn(
            [],
            [
                Put(keys.spec_key(execution), encode(made)),
                Put(keys.request_key(execution, SUBMIT), encode(request)),
            ],
        )
        return execution

    async def ask(self, name: str, what: str, *, key: str = "", **changes: object) -> None:
        """Leave a request, as the service does."""
        request = Request(what=what, **{"at": self.clock.now(), **changes})  # type: ignore[arg-type]
        await self.store.inner.txn([], [Put(keys.request_key(name_of(name), key or what), encode(request))])

    async def hand(self, live: Live, name: str, **changes: object) -> None:
        """Leave a request and hand it to an execution outside a controller; its name may carry a number."""
        request = Request(what=name.split("-", 1)[0], **changes)  # type: ignore[arg-type]
        result = await self.store.inner.txn([], [Put(keys.request_key(live.execution, name), encode(request))])
        live.requests[name] = (request, result.revision)

    async def record(self, name: str = "a") -> Record:
        """Read a record as it is stored."""
        found = await self.store.inner.get(keys.record_key(name_of(name)))
        assert found is not None, f"{name} has no record"
        return decode_record(found.value)

    async def below(self, prefix: str) -> dict[str, bytes]:
        """Read all keys below a prefix."""
        page = await self.store.inner.range(prefix, prefix_end(prefix), limit=100_000)
        return {item.key: item.value for item in page.items}

    async def ledger(self) -> list[LedgerEntry]:
        """Read the open ledger entries."""
        return [decode(value, LedgerEntry) for value in (await self.below(keys.LEDGER)).values()]

    async def events(self, name: str = "a") -> list[PhaseEvent]:
        """Read the events of an execution, in the order in which they were written."""
        page = await self.store.inner.range(keys.EVENTS, prefix_end(keys.EVENTS), limit=100_000)
        rows = sorted(page.items, key=lambda item: item.mod_revision)
        found = [event for row in rows for event in msgspec.json.decode(row.value, type=list[PhaseEvent])]
        return [event for event in found if event.execution == f"default/{name}"]

    def key(self, name: str = "a", attempt: int = 0) -> AttemptKey:
        """Derive an attempt's key."""
        return attempt_key(INSTALLATION, Uid(f"{name:0>32}"[-32:]), attempt)

    def dispatch(self, live: Live) -> Dispatch:
        if self.absent:
            return Dispatch("scripted", None, None, self.absent)
        traits = Traits(
            id="scripted",
            start=self.executor.start_declaration,
            check_interval=self.executor.check_interval,
            finalizes=self.finalizes,
            uses_cache=self.uses_cache,
            says_needs=self.says_needs,
        )
        return Dispatch("scripted", traits, self.gate, outside=self.outside)

    def turns(self) -> Turns:
        """Begin a life: what takes turns, with a committer of its own."""
        self.lives += 1
        host = Host(self.executor, self.threads)
        self.gate = Gate(self.limit, self._wake)
        random = Random(self.lives)
        self.desk = self._make_desk(random) if self.pools else None
        calls = Calls(
            host_of=lambda _: host,
            data=self.data,  # type: ignore[arg-type]
            cache=self.cache,
            children=self.children,
            clock=self.clock,
            wake=self._wake,
            owner=self.owner,
            meters=self.meters,
            refuses=Pools(self.pools).refusal,
        )
        return Turns(
            calls=calls,
            committer=Committer(self.store, self.lives, random, self.clock, self.owner, self.meters),
            owner=self.owner,
            dispatch=self.dispatch,
            policy=self.policy,
            clock=self.clock,
            nonce=lambda: f"{random.getrandbits(64):016x}",
            is_stopping=lambda: self.stopping,
            meters=self.meters,
            quotas=self.desk,
        )

    def live(self, name: str = "a", **changes: object) -> Live:
        """Take a new execution under control, outside a controller."""
        made = options(**{"uid": Uid(f"{name:0>32}"[-32:]), "accepted_at": self.clock.now(), **changes})
        live = Live(execution=name_of(name), options=made, installation=INSTALLATION, record=first_record(made))
        live.report(self.clock.now())
        return live

    async def reload(self, live: Live) -> Live:
        """Take an execution under control again, as another life does."""
        found = await self.store.inner.get(keys.record_key(live.execution))
        assert found is not None
        record = decode_record(found.value)
        return Live(
            execution=live.execution,
            options=live.options,
            installation=INSTALLATION,
            record=record,
            stored=record,
            revision=found.mod_revision,
            woken=True,
        )

    @asynccontextmanager
    async def engine(self, *, workers: int = 8, crash: bool = False) -> AsyncIterator[Controller]:
        """Run a controller until the body ends; then drain it, or kill it where it stands."""
        turns = self.turns()
        controller = self.controller = Controller(
            store=self.store,
            installation=INSTALLATION,
            turns=turns,
            dispatch=self.dispatch,
            queue=WorkQueue(clock=self.clock),
            clock=self.clock,
            shards=self.shards,
            workers=workers,
            meters=self.meters,
        )
        ready = asyncio.Event()
        async with following(self.desk), asyncio.TaskGroup() as group:
            loop = group.create_task(controller.run(ready.set))
            await ready.wait()
            try:
                yield controller
            finally:
                if crash:
                    loop.cancel()
                else:
                    await controller.drain()

    def _make_desk(self, random: Random) -> QuotaDesk:
        return QuotaDesk(
            store=self.store,
            pools=Pools(self.pools),
            clock=self.clock,
            wake=self._wake,
            spread=random.random,
            heeds_others=self.heeds_others,
        )

    def _wake(self, execution: ExecutionId) -> None:
        if self.controller is not None:
            self.controller.wake(execution)


def phases(events: Sequence[PhaseEvent]) -> list[Phase]:
    return [event.phase for event in events]
