"""
A story of one execution, told to the machine step by step: no store, no loop, no executor.

``tell`` plays a call's result; ``goes_on`` takes all steps up to the next call or wait and returns it, so that a test
reads as the list of calls that an engine would make.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from airscrew.engine.executor.declarations import Idempotent, StartDeclaration
from airscrew.engine.machine import (
    Action,
    Begin,
    Call,
    Fact,
    Policy,
    Step,
    Told,
    Traits,
    View,
    Wait,
    begin,
    first_record,
    learn,
    next_action,
)
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.ids import Uid
from airscrew.idl.phase import Phase, TaskInfo
from airscrew.state.records import CacheOptions, Options, Record, Request


def options(**changes: object) -> Options:
    made = Options(uid=Uid("0" * 32), digest="d", accepted_at=1000.0, template="t", task_type="job", max_attempts=2)
    return msgspec.structs.replace(made, **changes)


def told(phase: Phase, **changes: object) -> Told:
    made = Told(phase=phase, info=TaskInfo(), state=msgspec.Raw(b"{}"), state_version=1, executor="fake")
    return msgspec.structs.replace(made, **changes)


def failed(kind: ErrorKind = ErrorKind.USER, *, retryable: bool = True, **changes: object) -> Told:
    phase = Phase.RETRYABLE_FAILURE if retryable else Phase.PERMANENT_FAILURE
    return told(phase, error=ExecutionError(code="Broken", message="it broke", kind=kind), **changes)


CACHED = CacheOptions(version="1", serializable=True)


@dataclass
class Story:
    opts: Options = field(default_factory=options)
    start: StartDeclaration = field(default_factory=Idempotent)
    policy: Policy = field(default_factory=Policy)
    finalizes: bool = True
    now: float = 1000.0
    record: Record = field(init=False)
    fresh: bool = False
    woken: bool = False
    gate: str = ""
    calm: bool = True
    absent: str = ""
    requests: dict[str, Request] = field(default_factory=dict)
    reports: list[tuple[int, int, Phase]] = field(default_factory=list)
    begun: int = 0

    def __post_init__(self) -> None:
        self.record = first_record(self.opts)

    def view(self) -> View:
        traits = None
        if not self.absent:
            traits = Traits(id="fake", start=self.start, check_interval=10.0, finalizes=self.finalizes)
        return View(
            record=self.record,
            options=self.opts,
            traits=traits,
            absent=self.absent,
            policy=self.policy,
            now=self.now,
            requests=dict(self.requests),
            fresh=self.fresh,
            woken=self.woken,
            gate=self.gate,
            calm=self.calm,
        )

    def goes_on(self) -> Call | Wait:
        for _ in range(50):
            action: Action = next_action(self.view())
            if isinstance(action, Step):
                self._take(action.record)
                for name in action.consumed:
                    del self.requests[name]
            elif isinstance(action, Begin):
                self.begun += 1
                self._take(begin(self.view(), f"nonce-{self.begun}"))
                self.fresh = True
            else:
                return action
        raise AssertionError(f"the machine goes round in a circle: {self.record}")

    def tell(self, fact: Fact) -> Call | Wait:
        """Answer the call that ``goes_on`` returned, and go on."""
        self.fresh = self.woken = False
        self._take(learn(self.view(), fact))
        return self.goes_on()

    def wakes(self) -> Call | Wait:
        self.woken = True
        return self.goes_on()

    def after(self, seconds: float) -> Call | Wait:
        self.now += seconds
        return self.goes_on()

    def restarts(self) -> Call | Wait:
        """The engine was killed and another one reads the record."""
        self.fresh = False
        return self.goes_on()

    def asks(self, what: str, **changes: object) -> Call | Wait:
        self.requests[what] = Request(what=what, **changes)
        return self.goes_on()

    def runs(self) -> Call | Wait:
        """Up to a job that runs."""
        self.goes_on()
        return self.tell(told(Phase.RUNNING))

    def _take(self, record: Record) -> None:
        if (record.attempt, record.version) != (self.record.attempt, self.record.version):
            self.reports.append((record.attempt, record.version, record.phase))
        self.record = record
