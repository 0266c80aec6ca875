"""
A small simulation of one execution: the machine, a store that keeps what is written, and a world that misbehaves.

It plays the part of the controller with plain values: persist before effect, lost processes, facts that are lost with
them. Every change of the record is held against the invariants; so is every call against what exists outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import msgspec
from tests.unit.engine.machine.story import failed, told

from airscrew.engine.executor.declarations import AtMostOnce, Findable, Idempotent, NoEffect, StartDeclaration
from airscrew.engine.machine import (
    Begin,
    CacheHeld,
    CacheHit,
    CacheLookup,
    CacheMiss,
    CachePut,
    CacheStored,
    Call,
    CallFailed,
    Check,
    ChildrenAtWork,
    Fact,
    Finalize,
    Finalized,
    FindJobs,
    JobGone,
    JobsFound,
    JobStillThere,
    KillChildren,
    KillJob,
    NothingStarted,
    Policy,
    Start,
    StartFailed,
    StartUnknown,
    StateUnreadable,
    Step,
    TendChildren,
    Traits,
    View,
    Wait,
    begin,
    first_record,
    learn,
    ledger_entry,
    next_action,
)
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.state.records import LedgerState, Options, Record, Request, Stage

T = TypeVar("T")


class Choose(Protocol):
    """Picks one of several."""

    def __call__(self, several: Sequence[T], /) -> T: ...


STATE = msgspec.Raw(b"{}")
STEPS = 60


@dataclass
class World:
    """
    One execution and all that surrounds it.

    Attributes:
        choose: Picks one of several; the source of all misfortune.
        kind: "bad" picks any answer; "good" is a world whose dependencies are back.
        jobs: How many jobs of each attempt exist outside, ended ones included.
        alive: How many of them still run.
        calls: How many starts of each attempt may have been heard.
    """

    choose: Choose
    opts: Options
    start: StartDeclaration
    policy: Policy
    finalizes: bool
    now: float = 1000.0
    good: bool = False
    record: Record = field(init=False)
    stored: Record = field(init=False)
    fresh: bool = False
    woken: bool = False
    absent: bool = False
    consumed: list[str] = field(default_factory=list)
    requests: dict[str, Request] = field(default_factory=dict)
    jobs: dict[int, int] = field(default_factory=dict)
    alive: dict[int, int] = field(default_factory=dict)
    heard: dict[int, int] = field(default_factory=dict)
    children: int = 0
    forced: bool = False
    nonces: int = 0

    def __post_init__(self) -> None:
        self.record = self.stored = first_record(self.opts)

    # What an engine does.

    def turn(self) -> Wait:
        """Go on as far as it goes now; everything is written then."""
        for _ in range(STEPS):
            action = next_action(self.view())
            match action:
                case Step(record=record, consumed=consumed):
                    self.become(record)
                    self.consumed += consumed
                case Begin():
                    self.become(begin(self.view(), f"n{self.nonces}"))
                    self.nonces += 1
                    self.write()
                    self.fresh = True
                case Wait():
                    self.write()
                    return action
                case _:
                    if not self._may_be_made_unwritten(action):
                        self.write()
                    self.call(action)
        raise AssertionError(f"the machine goes round in a circle: {self.record}")

    def crash(self) -> None:
        """The process dies, and another one reads what was written."""
        self.record, self.fresh, self.woken = self.stored, False, True
        self.consumed.clear()

    def write(self) -> None:
        self.stored = self.record
        for name in self.consumed:
            self.requests.pop(name, None)
        self.consumed.clear()
        self.check_ledger()

    def call(self, call: Call) -> None:
        self.woken = False
        if isinstance(call, Start):
            self.fresh = False
        fact = self.answer(call)
        if fact is None:
            self.crash()
            return
        self.become(learn(self.view(), fact))

    def view(self) -> View:
        traits = Traits(id="fake", start=self.start, check_interval=10.0, finalizes=self.finalizes)
        pending = {name: request for name, request in self.requests.items() if name not in self.consumed}
        return View(
            record=self.record,
            options=self.opts,
            traits=None if self.absent else traits,
            absent="not installed" if self.absent else "",
            policy=self.policy,
            now=self.now,
            requests=pending,
            fresh=self.fresh,
            woken=self.woken,
        )

    def _may_be_made_unwritten(self, call: Call) -> bool:
        return isinstance(call, CacheLookup) or (isinstance(call, Start) and isinstance(self.start, NoEffect))

    # What the world answers; None is the death of the process before the answer was written.

    def answer(self, call: Call) -> Fact | None:
        match call:
            case Start():
                return self.answer_start()
            case Check():
                return self.answer_check()
            case FindJobs():
                return self.answer_find()
            case KillJob() | Finalize():
                return self.answer_end(call)
            case TendChildren():
                return self.answer_children()
            case KillChildren():
                return self.answer_kill_children()
            case CacheLookup():
                return self.pick(CacheMiss("k"), [CacheHit("k", "data:,"), CacheHeld("k", "x", 5.0), None])
            case CachePut():
                return self.pick(CacheStored(), [None])

    def pick(self, well: T, ill: Sequence[T]) -> T:
        return well if self.good else self.choose([well, *ill])

    def answer_start(self) -> Fact | None:
        attempt, record = self.record.attempt, self.record
        self.check_start(record)
        fates = self.pick("told", ["told", "lost", "unsent", "refused", "broken", "died", "never", "children"])
        exists = self.jobs.get(attempt, 0) > 0 and isinstance(self.start, Idempotent)
        if fates in {"refused", "broken", "unsent", "never"} and exists:
            fates = "lost"  # its provider knows the key: it cannot have created nothing
        if fates in {"told", "lost", "died", "children"}:
            self.create(attempt)
        if fates not in {"refused", "broken"}:
            self.heard[attempt] = self.heard.get(attempt, 0) + 1
        match fates:
            case "told":
                phase = self.pick(Phase.RUNNING, [Phase.QUEUED, Phase.SUCCESS])
                return self.tell(phase)
            case "children":
                self.alive[attempt] = 0
                return told(Phase.RUNNING, plan_uri="plan")
            case "refused":
                return NothingStarted("429", self.choose([None, 3.0]))
            case "broken":
                return StartFailed(retryable=self.choose([True, False]), code="C", message="m", kind=ErrorKind.SYSTEM)
            case "lost" | "unsent":
                return StartUnknown("no answer")
            case _:
                return None

    def answer_check(self) -> Fact | None:
        assert self.stored.created or isinstance(self.start, NoEffect)
        fate = self.pick("success", ["running", "failed", "cleanup", "permanent", "no answer", "died", "garbage"])
        match fate:
            case "running":
                return self.tell(Phase.RUNNING)
            case "success":
                return self.tell(Phase.SUCCESS)
            case "failed" | "permanent":
                self.alive[self.record.attempt] = 0
                return failed(self.choose([ErrorKind.USER, ErrorKind.SYSTEM]), retryable=fate == "failed")
            case "cleanup":
                return failed(cleanup=True)
            case "garbage":
                return StateUnreadable("garbage", wait=self.choose([True, False]))
            case "no answer":
                return CallFailed("no answer")
            case _:
                return None

    def answer_find(self) -> Fact | None:
        found = JobsFound(STATE, 1) if self.jobs.get(self.record.attempt) else JobsFound(None)
        return self.pick(found, [CallFailed("no answer"), None])

    def answer_end(self, call: Call) -> Fact | None:
        assert self.stored.verdict is not None, "something is deleted before the verdict is written"
        fact: Fact = JobGone() if isinstance(call, KillJob) else Finalized()
        answer = self.pick(fact, [CallFailed("no answer"), None, JobStillThere()])
        if isinstance(answer, JobStillThere) and isinstance(call, Finalize):
            answer = CallFailed("no answer")
        if answer is fact:
            assert self.children == 0, "the parent went before its children"
            self.alive[self.record.attempt] = 0
        return answer

    def answer_children(self) -> Fact | None:
        self.children = max(self.children, 2)
        fate = self.pick("done", ["at work", "failed", "died", "no answer"])
        match fate:
            case "done":
                self.children = 0
                return told(Phase.SUCCESS, state=None, output_uri="o")
            case "failed":
                return failed(retryable=False, state=None)
            case "at work":
                return ChildrenAtWork(2, 0, "")
            case "no answer":
                return CallFailed("no answer")
            case _:
                return None

    def answer_kill_children(self) -> Fact | None:
        assert self.stored.verdict is not None
        answer = self.pick(JobGone(), [JobStillThere(), CallFailed("no answer"), None])
        if isinstance(answer, JobGone):
            self.children = 0
        return answer

    def tell(self, phase: Phase) -> Fact:
        if phase.is_terminal:
            self.alive[self.record.attempt] = 0
        return told(phase, output_uri="o" if phase is Phase.SUCCESS else "")

    def create(self, attempt: int) -> None:
        if isinstance(self.start, NoEffect):
            return
        if isinstance(self.start, Idempotent) and self.jobs.get(attempt):
            return
        self.jobs[attempt] = self.jobs.get(attempt, 0) + 1
        self.alive[attempt] = self.alive.get(attempt, 0) + 1

    # What must hold.

    def check_start(self, record: Record) -> None:
        attempt = record.attempt
        assert not isinstance(self.start, AtMostOnce) or not self.heard.get(attempt), "a second call"
        assert not (isinstance(self.start, Findable) and self.jobs.get(attempt)), "a second job"
        before = sum(count for number, count in self.alive.items() if number < attempt)
        assert not before, "the attempt before is still there"
        if isinstance(self.start, NoEffect):
            return
        assert self.stored.intent is not None, "a start without an intent in the store"
        if record.verdict is not None:
            assert isinstance(self.start, Idempotent), "a start after the verdict"
            assert self.heard.get(attempt), "a first start after the verdict"

    def become(self, after: Record) -> None:
        before, self.record = self.record, after
        check_change(before, after)

    def check_ledger(self) -> None:
        record = self.stored
        entry = ledger_entry(record, self.opts, "default/x")
        assert (entry is not None) == (record.created or record.intent is not None)
        alive = sum(self.alive.values())
        assert alive == 0 or entry is not None, f"a job runs and the ledger does not tell of it: {record}"
        if record.stage is Stage.DONE:
            assert record.ended_at, "done and not over"
            assert record.phase.is_terminal
            assert not self.children, "children were left behind"
            assert alive == 0 or (entry is not None and entry.state is LedgerState.UNKNOWN)


def check_change(before: Record, after: Record) -> None:
    """Hold one change of the record against what may never happen."""
    assert after.attempt - before.attempt in {0, 1}
    assert (after.attempt, after.version) >= (before.attempt, before.version), "versions go back"
    shown = (before.phase, before.reason, before.info)
    if (after.attempt, after.version) == (before.attempt, before.version) and not before.phase.is_terminal:
        assert (after.phase, after.reason) == shown[:2], "a report without a version of its own"
    if before.ended_at:
        assert (after.ended_at, after.phase, after.error) == (before.ended_at, before.phase, before.error)
        assert (after.output_uri, after.attempt) == (before.output_uri, before.attempt)
        assert after.stage in {Stage.ENDING, Stage.DONE, Stage.STARTING}, "a terminal execution goes on"
    if before.stage is Stage.DONE:
        assert after.stage is Stage.DONE
    verdict = before.verdict
    if verdict is not None and after.attempt == before.attempt:
        assert after.verdict is not None, "a verdict was taken back"
        if not verdict.retry:
            assert after.verdict == verdict, "a verdict was changed"
        elif after.verdict != verdict:
            assert after.verdict.phase in {Phase.ABORTED, Phase.PERMANENT_FAILURE}
            assert not after.verdict.retry
    if after.attempt != before.attempt:
        assert before.intent is None
        assert verdict is not None
        assert not (before.created and verdict.kill), "the next attempt before the last one is gone"
        assert after.stage is Stage.READY
