"""
Services that run jobs, and fail: what an executor can meet on the other side of a network.

A request that was sent arrives whatever becomes of its sender. Their log is what happened; they judge themselves that
no attempt has two jobs and no execution two live ones.
"""

from __future__ import annotations

from asyncio import Future, sleep
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from tests.simulation.world import World

T = TypeVar("T")

CALL_SECONDS = 10.0
"""How long an executor waits for an answer."""

LATE_SECONDS = 10.0
"""How long after that a request may still arrive."""

HIDDEN_SECONDS = 6.0
"""How long a new job may be missing from lists."""

SETTLE_SECONDS = 30.0
"""So absence counts after all of that."""

WINDOW_SECONDS = 60.0
"""For how long a key may be sent again; the service itself keeps it as much longer as a request may be on its way."""


class BusyError(Exception):
    """Certainly nothing was done."""


class Fault(Enum):
    """What goes wrong with a request."""

    REFUSED = "refused"
    BUSY = "busy"
    ERROR = "error"
    GARBAGE = "garbage"
    SLOW = "slow"
    LOST_REQUEST = "request lost"
    LOST_REPLY = "reply lost"
    HANG = "done, no answer"
    LATE = "arrives late"
    TWICE = "arrives twice"
    HIDDEN = "not listed for a while"


_READ_FAULTS = (
    Fault.REFUSED,
    Fault.ERROR,
    Fault.GARBAGE,
    Fault.SLOW,
    Fault.LOST_REQUEST,
    Fault.LOST_REPLY,
    Fault.HANG,
    Fault.TWICE,
)
_CREATE_FAULTS = (*_READ_FAULTS[:-1], Fault.BUSY, Fault.LATE, Fault.LOST_REPLY, Fault.HANG)


class Mode(Enum):
    """How a service tells one request from the same one again."""

    KEYED = "by a key"
    LISTED = "it does not, but lists what carries a label"
    BLIND = "it does not"


@dataclass(slots=True)
class Job:
    """A job, and what will become of it."""

    id: str
    key: str
    execution: str
    created_at: float
    visible_at: float
    seconds: float
    outcome: str
    stubborn: int
    plan: str
    cancelled_at: float = float("inf")
    forgotten: bool = False

    def status(self, now: float) -> str:
        ends = self.created_at + self.seconds
        if self.cancelled_at <= now and self.cancelled_at < ends:
            return "cancelled"
        if now >= ends:
            return self.outcome
        return "queued" if now < self.created_at + 1.0 else "running"

    def is_live(self, now: float) -> bool:
        return self.status(now) in {"queued", "running"}


@dataclass(slots=True)
class Service:
    """
    A service.

    Attributes:
        world: The run.
        name: For the story.
        mode: How it tells requests apart.
        jobs: All that it ever made.
    """

    world: World
    name: str
    mode: Mode
    jobs: dict[str, Job] = field(default_factory=dict)

    def of(self, key: str) -> list[Job]:
        """List the jobs of a key, forgotten ones included."""
        return [job for job in self.jobs.values() if job.key == key]

    async def create(self, key: str, execution: str, spec: dict[str, Any]) -> dict[str, Any]:
        """Make a job."""
        return await self._request("create", key, _CREATE_FAULTS, lambda late: self._create(key, execution, spec, late))

    async def get(self, job: str) -> dict[str, Any] | None:
        """Tell how a job stands; None when there is none."""
        return await self._request("get", job, _READ_FAULTS, lambda _: self._view(job))

    async def list(self, key: str) -> list[dict[str, Any]]:
        """List all jobs of a key."""
        return await self._request("list", key, _READ_FAULTS, lambda _: self._list(key))

    async def cancel(self, job: str) -> dict[str, Any] | None:
        """Ask a job to end; None when there is none."""
        return await self._request("cancel", job, _READ_FAULTS, lambda _: self._cancel(job))

    async def forget(self, job: str) -> None:
        """Delete what is kept of a job that is over."""
        await self._request("forget", job, _READ_FAULTS, lambda _: self._forget(job))

    async def _request(
        self, what: str, about: str, faults: tuple[Fault, ...], effect: Callable[[Fault | None], T]
    ) -> T:
        world = self.world
        fault = self._draw(faults, what)
        dies = world.call_ends_life(what)
        if fault is not None:
            world.fault(f"service: {fault.value}")
        world.story.add(self.name, lambda: f"{what} {about}{f' ({fault.value})' if fault else ''}")
        if dies:
            return await self._die(fault, effect)
        await sleep(0 if world.calm else world.dice.random() ** 2 * 0.5)
        match fault:
            case Fault.REFUSED | Fault.BUSY:
                raise BusyError(fault.value)
            case Fault.ERROR | Fault.LOST_REQUEST:
                raise OSError(f"{fault.value}, on purpose")
            case Fault.LATE:
                self._deliver(CALL_SECONDS + world.dice.random() * LATE_SECONDS, effect, fault)
                return await self._never()
            case Fault.HANG:
                self._deliver(world.dice.random(), effect, fault)
                return await self._never()
            case Fault.SLOW:
                await sleep(world.dice.random() * CALL_SECONDS * 0.9)
            case Fault.TWICE:
                self._deliver(world.dice.random() * 5.0, effect, fault)
            case _:
                pass
        reply = self._deliver(0.0 if world.calm else world.dice.random() * 0.1, effect, fault)
        answer = await reply
        if fault is Fault.LOST_REPLY:
            raise ConnectionResetError("the reply is lost, on purpose")
        if fault is Fault.GARBAGE:
            raise ValueError("<html>this is no JSON</html>")
        return answer

    async def _die(self, fault: Fault | None, effect: Callable[[Fault | None], T]) -> T:
        world = self.world
        life = world.life()
        assert life is not None
        if fault not in {Fault.REFUSED, Fault.BUSY, Fault.ERROR, Fault.LOST_REQUEST}:
            self._deliver(world.dice.random() * 5.0, effect, fault)
        world.crash(life, f"{life.plan.end.value} ({life.plan.count})")
        await world.dead()
        raise AssertionError

    async def _never(self) -> Any:
        await self.world.loop.create_future()

    def _deliver(self, delay: float, effect: Callable[[Fault | None], T], fault: Fault | None) -> Future[T]:
        """Let a request arrive after a while, whoever is alive then."""
        reply: Future[T] = self.world.loop.create_future()

        def arrive() -> None:
            result = effect(fault)
            if not reply.done():
                reply.set_result(result)

        self.world.loop.call_later(delay, arrive, context=self.world.context)
        return reply

    def _draw(self, faults: tuple[Fault, ...], what: str) -> Fault | None:
        world = self.world
        now = world.loop.time()
        if not world.calm and any(begin <= now < end for begin, end in world.plan.service_outages):
            return world.dice.choice((Fault.REFUSED, Fault.HANG if what != "create" else Fault.REFUSED))
        if not world.chance(world.plan.rates.service):
            return None
        if what == "create" and self.mode is Mode.KEYED:
            faults = (*faults, Fault.TWICE)
        if what == "create" and self.mode is Mode.LISTED:
            faults = (*faults, Fault.HIDDEN, Fault.HIDDEN)
        return world.dice.choice(faults)

    def _create(self, key: str, execution: str, spec: dict[str, Any], fault: Fault | None) -> dict[str, Any]:
        now = self.world.loop.time()
        made = self.of(key)
        if self.mode is Mode.KEYED and made:
            kept = WINDOW_SECONDS + CALL_SECONDS + LATE_SECONDS
            if now <= made[0].created_at + kept:
                return self._told(made[0])
        hidden = fault in {Fault.HIDDEN, Fault.LATE, Fault.LOST_REPLY, Fault.HANG} and self.mode is Mode.LISTED
        job = Job(
            id=f"{self.name}-{len(self.jobs) + 1}",
            key=key,
            execution=execution,
            created_at=now,
            visible_at=now + (self.world.dice.random() * HIDDEN_SECONDS if hidden else 0.0),
            seconds=float(spec.get("seconds", 5.0)),
            outcome=str(spec.get("outcome", "succeeded")),
            stubborn=int(spec.get("stubborn", 0)),
            plan=str(spec.get("plan", "")),
        )
        self.jobs[job.id] = job
        self.world.story.add(self.name, f"makes {job.id} for {execution}, key {key}")
        if made:
            self.world.violate(f"1: {self.name} made {job.id} for {execution}, whose attempt has {made[0].id} already")
        live = [
            one.id for one in self.jobs.values() if one is not job and one.execution == execution and one.is_live(now)
        ]
        if live:
            self.world.violate(f"1: {job.id} and {live[0]} of {execution} are live at once")
        return self._told(job)

    def _told(self, job: Job) -> dict[str, Any]:
        status = job.status(self.world.loop.time())
        return {"id": job.id, "status": status, "created_at": job.created_at, "plan": job.plan}

    def _view(self, name: str) -> dict[str, Any] | None:
        job = self.jobs.get(name)
        return None if job is None or job.forgotten else self._told(job)

    def _list(self, key: str) -> list[dict[str, Any]]:
        now = self.world.loop.time()
        return [self._told(job) for job in self.of(key) if job.visible_at <= now and not job.forgotten]

    def _cancel(self, name: str) -> dict[str, Any] | None:
        job = self.jobs.get(name)
        if job is None or job.forgotten:
            return None
        now = self.world.loop.time()
        if job.stubborn > 0:
            job.stubborn -= 1
        elif job.is_live(now):
            job.cancelled_at = min(job.cancelled_at, now + self.world.dice.random() * 3.0)
        return self._told(job)

    def _forget(self, name: str) -> None:
        job = self.jobs.get(name)
        if job is not None and not job.is_live(self.world.loop.time()):
            job.forgotten = True
