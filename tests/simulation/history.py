"""
The tap: what was written to the store, revision by revision, judged as it is written.

What it judges: terminal phases are absorbing, verdicts are final, phase versions grow; no secret is written; a fact
that a life has learned is in the next thing that it writes; an event has one content.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from tests.simulation.quotas import Units
from tests.simulation.story import changes
from tests.simulation.world import SECRET, EngineLife, World, unit_of

from airscrew.idl.ids import attempt_key
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.lease_lock import TERM_KEY
from airscrew.state.members import shard_unit
from airscrew.state.members.nouns import read_claim
from airscrew.state.records import Options, PhaseEvent, Record, Stage, decode_options, decode_record
from airscrew.state.store import Delete, Operation, Put

_events = msgspec.json.Decoder(list[PhaseEvent])
_secret = SECRET.encode()
_CLAIMS = keys.claim_key("")

ENDS_OVER_A_RETRY = frozenset({Phase.ABORTED, Phase.PERMANENT_FAILURE})


@dataclass(slots=True)
class History:
    """
    All writes so far.

    Attributes:
        world: The run.
        options: What was accepted, by name.
        records: Each record as it is now.
        raw: The same as bytes.
        revisions: How many writes there were to each record.
        events: Every event that was ever put, by id.
        pruned: What was forgotten, as it was last.
        answered: Which life had the answer to the start of an attempt, and in which term of its shard.
        shown: The id of the event of every report that was ever written, with the name of its execution.
        installation: Part of every key.
        units: Who has which units of quotas.
        on_given: Told of the life that gives a unit away, and of the unit.
    """

    world: World
    options: dict[str, Options] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    events: dict[str, PhaseEvent] = field(default_factory=dict)
    pruned: list[tuple[str, Options, Record]] = field(default_factory=list)
    answered: dict[str, tuple[int, int]] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    installation: str = ""
    units: Units = field(init=False)
    on_given: Callable[[int, str], None] = lambda _sender, _unit: None

    def __post_init__(self) -> None:
        self.units = Units(self.world)

    def is_pruned(self, name: str, uid: str = "") -> bool:
        """Tell whether an execution of that name, and of that UID when one is given, was forgotten."""
        return any(one == name and uid in {"", options.uid} for one, options, _ in self.pruned)

    def all(self) -> list[tuple[str, Options, Record]]:
        """List every execution that was ever looked at: its name, its options, its record as it was last."""
        known = [(name, self.options[name], record) for name, record in self.records.items()]
        return self.pruned + known

    def tap(self, revision: int, operations: Sequence[Operation], sender: int) -> None:
        """Take note of a transaction, and of the life that sent it; 0 for a stranger."""
        self._judge_sender(sender, operations)
        self.units.judge(operations)
        for operation in operations:
            if isinstance(operation, Delete) and operation.key.startswith(keys.RECORDS):
                self._forgotten(str(keys.execution_of(operation.key)))
            if not isinstance(operation, Put):
                continue
            key, value = operation.key, operation.value
            if _secret in value:
                self.world.violate(f"9: a secret is written to {key}")
            if key.startswith(keys.RECORDS):
                self._record(str(keys.execution_of(key)), value, revision)
            elif key.startswith(keys.SPECS):
                self.options[str(keys.execution_of(key))] = decode_options(value)
                self.world.story.add("accepted", lambda: str(keys.execution_of(key)))  # noqa: B023 - called at once
            elif key.startswith(keys.EVENTS):
                self._put_events(value)
            elif key == keys.INSTALLATION:
                self.installation = value.decode()
            elif key.startswith(keys.REQUESTS):
                self.world.story.add("request", lambda: f"{key} {value.decode()}")  # noqa: B023 - called at once

    def _judge_sender(self, sender: int, operations: Sequence[Operation]) -> None:
        world = self.world
        if world.plan.is_shared:
            if sender:
                self._judge_member(sender, operations)
            for one in operations:
                if isinstance(one, Put) and one.key.startswith(_CLAIMS):
                    self._claimed(sender, one)
        elif any(isinstance(one, Put) and one.key == TERM_KEY for one in operations):
            self._taken_over(sender)
        elif sender and world.plan.is_locked and sender != world.owner:
            world.violate(f"8: life {sender} has written after life {world.owner} took the lock: {operations[0]}")

    def _judge_member(self, sender: int, operations: Sequence[Operation]) -> None:
        """What an owner writes, nobody else does."""
        world = self.world
        has_record = any(isinstance(one, Put) and one.key.startswith(keys.RECORDS) for one in operations)
        for one in operations:
            is_record = isinstance(one, Put) and one.key.startswith(keys.RECORDS)
            # A person strikes off what is left of an execution that is gone; an owner does so with the record.
            is_ledger = isinstance(one, Put | Delete) and one.key.startswith(keys.LEDGER) and has_record
            if not is_record and not is_ledger:
                continue
            owner = world.claims.get(shard_unit(keys.shard_of(one.key)), "nobody")
            if owner != world.lives[sender - 1].member:
                world.violate(f"8: life {sender} has written {one.key}, which is {owner}'s")

    def _claimed(self, sender: int, claim: Put) -> None:
        world = self.world
        unit, owner = claim.key.removeprefix(_CLAIMS), read_claim(claim.value)
        before = world.claims.get(unit, "")
        world.claims[unit] = owner.owner
        world.terms[unit] += before != owner.owner
        if owner.given:
            world.fault("unit given")
            self.on_given(sender, unit)
        elif before and not world.lives[int(before[1:]) - 1].dead:
            world.fault("unit taken over from a life that runs on")
        world.story.add("claim", f"{unit}: {before or '-'} -> {owner.owner or '-'}{' given' if owner.given else ''}")

    def _taken_over(self, sender: int) -> None:
        world = self.world
        if world.owner and not world.lives[world.owner - 1].dead:
            world.fault("lock taken over from a life that runs on")
        world.owner = sender
        world.lives[sender - 1].has_owned = True
        world.story.add("== LOCK", f"life {sender} takes it")

    def _forgotten(self, name: str) -> None:
        record = self.records.pop(name, None)
        options = self.options.pop(name, None)
        self.raw.pop(name, None)
        if record is None or options is None:
            return
        self.pruned.append((name, options, record))
        self.world.story.add(name, "is forgotten")
        if record.stage is not Stage.DONE or not record.ended_at:
            self.world.violate(f"4: {name} was forgotten before its end")

    def state(self, execution: str) -> tuple[str, bytes]:
        """Return the key of the current attempt and the custom state as they are stored."""
        record = self.records[execution]
        return self.key(execution, record), bytes(record.state)

    def key(self, execution: str, record: Record) -> str:
        """Derive an attempt's key."""
        return attempt_key(self.installation, self.options[execution].uid, record.attempt)

    def note_answer(self, key: str, execution: str, life: EngineLife) -> None:
        """Note that a life has the answer to the start of an attempt: it may forget it only with the shard."""
        self.answered[key] = (life.number, self.world.terms[unit_of(execution)])

    def _record(self, name: str, value: bytes, revision: int) -> None:
        new, old = decode_record(value), self.records.get(name)
        before = self.raw.get(name)
        self.world.story.add(name, lambda: f"r{revision} {changes(before, value)}")
        if old is not None:
            for problem in judge_step(old, new):
                self.world.violate(f"3: {name}: {problem}")
        life = self.world.life()
        told = self.answered.get(self.key(name, new))
        if life is not None and new.intent is not None and told == (life.number, self.world.terms[unit_of(name)]):
            self.world.violate(
                f"a fact is lost: life {life.number} has the answer to the start of {name}, and an intent"
            )
        self.records[name], self.raw[name] = new, value
        self.shown.setdefault(f"{new.uid}-{new.attempt}-{new.version}", name)
        self.revisions[name] += 1

    def _put_events(self, value: bytes) -> None:
        try:
            events = _events.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return  # somebody has damaged it on purpose
        for event in events:
            known = self.events.setdefault(event.id, event)
            if (known.phase, known.reason) != (event.phase, event.reason):
                self.world.violate(f"3: event {event.id} of {event.execution} has two contents")


def judge_step(old: Record, new: Record) -> list[str]:
    """Say what of a step of a record must not be."""
    problems = []
    before, after = (old.attempt, old.version), (new.attempt, new.version)
    if new.uid != old.uid:
        problems.append("another execution has its place")
    if after < before:
        problems.append(f"the version goes back from {before} to {after}")
    if after == before and (old.phase, old.reason) != (new.phase, new.reason):
        problems.append(f"{old.phase.title} turned into {new.phase.title} without a new version")
    if old.ended_at:
        kept = ("ended_at", "phase", "error", "output_uri", "attempt")
        problems += [f"{name} changed after the end" for name in kept if getattr(old, name) != getattr(new, name)]
    if old.stage is Stage.DONE and new.stage is not Stage.DONE:
        problems.append(f"it was done and is {new.stage} again")
    verdict = old.verdict
    if verdict is not None and new.attempt == old.attempt and new.verdict != verdict:
        ends_over = new.verdict is not None and verdict.retry and new.verdict.phase in ENDS_OVER_A_RETRY
        if not ends_over:
            problems.append("the verdict changed")
    return problems
