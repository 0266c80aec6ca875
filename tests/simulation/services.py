"""
Services that run jobs, and fail: what an executor can meet on the other side of a network.

A request that was sent arrives whatever becomes of its sender. Their log is what happened; they judge themselves that
no attempt has two jobs and no execution two live ones.
"""

from __future__ import annotations

from asyncio import Future, sleep
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from tests.simulation.plan import CLOCKS_APART
from tests.simulation.world import World, unit_of

T = TypeVar("T")

CALL_SECONDS = 10.0
"""How long an executor waits for an answer."""

LATE_SECONDS = 10.0
"""How long after that a request may still arrive."""

ENDLESS_SECONDS = 1e7
TELL_SECONDS = 60.0
"""How long a former owner may take to tell the new one of a start that came late."""

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
    STRAGGLER = "arrives later than its settle"
    HUNG = "hung in the network, and arrives within its settle"


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
    uid: str = ""
    is_straggler: bool = False
    late_of: int = 0
    is_listed_twice: bool = False
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


@dataclass(frozen=True, slots=True)
class Begun:
    """
    How things stood when a start was begun.

    Attributes:
        term: How often the execution's shard had changed hands.
        pauses: How often the life had stood still.
    """

    term: int
    pauses: int


@dataclass(slots=True)
class Service:
    """
    A service.

    Attributes:
        world: The run.
        name: For the story.
        mode: How it tells requests apart.
        jobs: All that it ever made.
        stragglers: Requests for jobs that hang in the network until the same attempt asks again, by key.
    """

    world: World
    name: str
    mode: Mode
    jobs: dict[str, Job] = field(default_factory=dict)
    stragglers: dict[str, tuple[float, Callable[[Fault | None], object]]] = field(default_factory=dict)

    def of(self, key: str) -> list[Job]:
        """List the jobs of a key, forgotten ones included."""
        return [job for job in self.jobs.values() if job.key == key]

    def is_unknown_twin(self, job: Job) -> bool:
        """Tell whether a job is one of two of its attempt, made by a straggler, that nobody was ever shown together."""
        pair = self.of(job.key)
        return len(pair) > 1 and any(one.is_straggler for one in pair) and not job.is_listed_twice

    def _late_of(self, life: Any, execution: str, begun: Begun) -> int:
        """Name the life that stood still and whose start arrives when another one has had the execution; 0 for none."""
        stood_still = life is not None and life.has_stood_still and life.membership is not None
        return life.number if stood_still and self.world.terms[unit_of(execution)] != begun.term else 0

    def is_untold(self, job: Job) -> bool:
        """Tell whether a job was made for a former owner that was killed, or had ended, before it could tell of it."""
        if not job.late_of:
            return False
        life, plan = self.world.lives[job.late_of - 1], self.world.plan
        if life.died_at < job.created_at + TELL_SECONDS or (life.fell_over and life.ended_at <= job.created_at):
            return True
        away = (*plan.outages, *plan.full)  # a drain does not wait for the store for ever
        soon = life.ended_at < job.created_at + TELL_SECONDS
        return soon and any(begin < life.ended_at and job.created_at < end for begin, end in away)

    async def create(self, key: str, execution: str, uid: str, spec: dict[str, Any], begun: Begun) -> dict[str, Any]:
        """Make a job."""
        life, late_when_sent = self.world.life(), [0]

        def hangs() -> None:
            late_when_sent[0] = self._late_of(life, execution, begun)

        def make(fault: Fault | None) -> dict[str, Any]:
            is_sent = fault in {Fault.STRAGGLER, Fault.HUNG}
            late_of = late_when_sent[0] if is_sent else self._late_of(life, execution, begun)
            if self.mode is Mode.KEYED and not late_of and life is not None and life.pauses != begun.pauses:
                fault = Fault.STRAGGLER  # its owner is still the same, and stood still until the window was over
            return self._create(key, execution, uid, spec, fault, late_of)

        return await self._request("create", key, _CREATE_FAULTS, make, hangs)

    async def get(self, job: str) -> dict[str, Any] | None:
        """Tell how a job stands; None when there is none."""
        return await self._request("get", job, _READ_FAULTS, lambda _: self._view(job))

    async def get_many(self, jobs: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Tell how some jobs stand, without those that there are not."""

        def look(_: Fault | None) -> dict[str, dict[str, Any]]:
            return {job: view for job in jobs if (view := self._view(job)) is not None}

        return await self._request("get", f"{len(jobs)} jobs", _READ_FAULTS, look)

    async def list(self, key: str) -> list[dict[str, Any]]:
        """List all jobs of a key."""
        told = await self._request("list", key, _READ_FAULTS, lambda _: self._list(key))
        for job in self.of(key) if len(told) > 1 else ():  # a second answer that nobody reads tells nobody
            job.is_listed_twice |= any(one["id"] == job.id for one in told)
        return told

    async def cancel(self, job: str) -> dict[str, Any] | None:
        """Ask a job to end; None when there is none."""
        return await self._request("cancel", job, _READ_FAULTS, lambda _: self._cancel(job))

    async def forget(self, job: str) -> None:
        """Delete what is kept of a job that is over."""
        await self._request("forget", job, _READ_FAULTS, lambda _: self._forget(job))

    async def _request(
        self,
        what: str,
        about: str,
        faults: tuple[Fault, ...],
        effect: Callable[[Fault | None], T],
        hangs: Callable[[], None] = lambda: None,
    ) -> T:
        world = self.world
        self._refuse_former_owner()
        fault = self._draw(faults, what, about)
        dies = world.call_ends_life(what, self.name.removeprefix("svc-"))
        if fault is not None:
            world.fault(f"service: {fault.value}")
        world.story.add(self.name, lambda: f"{what} {about}{f' ({fault.value})' if fault else ''}")
        if dies:
            return await self._die(fault, effect)
        await sleep(0 if world.calm else world.dice.random() ** 2 * 0.5)
        self._refuse_former_owner()  # it may have stood still meanwhile
        if fault is Fault.STRAGGLER:
            hangs()
        await self._go_wrong(fault, about, effect)
        self._refuse_former_owner()
        reply = self._deliver(0.0 if world.calm else world.dice.random() * 0.1, effect, fault)
        answer = await reply
        if fault is Fault.LOST_REPLY:
            raise ConnectionResetError("the reply is lost, on purpose")
        if fault is Fault.GARBAGE:
            raise ValueError("<html>this is no JSON</html>")
        return answer

    def _refuse_former_owner(self) -> None:
        """
        Cut a life off from the service once another one has taken the store's lock.

        That an engine itself begins no call any more then is what members with claims are to promise.
        """
        if self.world.is_former(self.world.life()):
            self.world.fault("service: a former owner is cut off")
            raise OSError("no route to the service, on purpose")

    async def _go_wrong(self, fault: Fault | None, about: str, effect: Callable[[Fault | None], object]) -> None:
        """Let happen what happens to a request on its way; returns when it arrives."""
        world = self.world
        match fault:
            case Fault.REFUSED | Fault.BUSY:
                raise BusyError(fault.value)
            case Fault.ERROR | Fault.LOST_REQUEST:
                raise OSError(f"{fault.value}, on purpose")
            case Fault.LATE:
                self._deliver(CALL_SECONDS + world.dice.random() * LATE_SECONDS, effect, fault)
                await self._never()
            case Fault.HANG:
                self._deliver(world.dice.random(), effect, fault)
                await self._never()
            case Fault.STRAGGLER:
                self.stragglers[about] = (world.loop.time(), effect)
                await self._never()
            case Fault.SLOW:
                await sleep(world.dice.random() * CALL_SECONDS * 0.9)
            case Fault.TWICE:
                self._deliver(world.dice.random() * 5.0, effect, fault)
            case _:
                pass

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

    def _draw(self, faults: tuple[Fault, ...], what: str, about: str) -> Fault | None:
        world = self.world
        now = world.loop.time()
        if what == "create" and self.mode is Mode.LISTED and not world.calm:
            if about in self.stragglers:
                return self._release(about)
            if not self.of(about) and world.chance(world.plan.rates.straggler):
                return Fault.STRAGGLER
        if not world.calm and any(begin <= now < end for begin, end in world.plan.service_outages):
            return world.dice.choice((Fault.REFUSED, Fault.HANG if what != "create" else Fault.REFUSED))
        if not world.chance(world.plan.rates.service):
            return None
        if what == "create" and self.mode is Mode.KEYED:
            faults = (*faults, Fault.TWICE)
        if what == "create" and self.mode is Mode.LISTED:
            faults = (*faults, Fault.HIDDEN, Fault.HIDDEN)
        return world.dice.choice(faults)

    def _release(self, key: str) -> Fault | None:
        """Let what hung in the network arrive beside the request that is made now, whose answer is lost as a rule."""
        sent_at, effect = self.stragglers.pop(key)
        is_later = self.world.loop.time() > sent_at + SETTLE_SECONDS - CLOCKS_APART
        self._deliver(self.world.dice.random() * 3.0, effect, Fault.STRAGGLER if is_later else Fault.HUNG)
        return self.world.dice.choice((None, Fault.LOST_REPLY, Fault.HANG, Fault.HANG))

    def _create(
        self, key: str, execution: str, uid: str, spec: dict[str, Any], fault: Fault | None, late_of: int
    ) -> dict[str, Any]:
        now = self.world.loop.time()
        made = self.of(key)
        if self.mode is Mode.KEYED and made:
            kept = WINDOW_SECONDS + CALL_SECONDS + LATE_SECONDS
            if now <= made[0].created_at + kept:
                return self._told(made[0])
        late_to_show = {Fault.HIDDEN, Fault.LATE, Fault.HUNG, Fault.LOST_REPLY, Fault.HANG}
        hidden = (fault in late_to_show or bool(late_of)) and self.mode is Mode.LISTED
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
            uid=uid,
            is_straggler=fault is Fault.STRAGGLER,
            late_of=late_of,
        )
        self.jobs[job.id] = job
        self.world.story.add(self.name, f"makes {job.id} for {execution}, key {key}")
        if job.late_of:
            self.world.fault("a former owner's start arrives")
            if made and all(one.visible_at <= now for one in made):  # else this one may be taken for the job
                job.seconds = ENDLESS_SECONDS  # a twin that nobody kills is to be seen at the end
        twin = bool(made) and (job.is_straggler or (len(made) == 1 and made[0].is_straggler))
        if twin:
            self.world.limit("a request later than settle made a twin")
        elif made and (job.late_of or any(one.late_of for one in made)):
            self.world.limit("a former owner's start made a twin")
        elif made:
            self.world.violate(f"1: {self.name} made {job.id} for {execution}, whose attempt has {made[0].id} already")
        others = [one for one in self.jobs.values() if one.uid == uid and one.key != key and one.is_live(now)]
        live = [one.id for one in others if not self.is_unknown_twin(one) and not job.late_of and not one.late_of]
        if live and job.is_straggler and not twin:
            self.world.limit("a request later than settle came when the next attempt ran")
        elif live and not twin:
            self.world.violate(f"1: {job.id} and {live[0]} of {execution} are live at once")
        return self._told(job)

    def _told(self, job: Job) -> dict[str, Any]:
        status = job.status(self.world.loop.time())
        return {"id": job.id, "status": status, "created_at": job.created_at, "plan": job.plan}

    def told(self, name: str) -> dict[str, Any]:
        """Tell how a job stands to whoever is told without asking."""
        return self._told(self.jobs[name])

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
