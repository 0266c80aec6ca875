"""
What must hold once all is calm and nothing moves any more: judged by what services, sinks and users saw.
"""

from __future__ import annotations

from tests.simulation.engine import KeepingSink
from tests.simulation.history import History
from tests.simulation.services import Job, Service
from tests.simulation.store import FaultyStore
from tests.simulation.users import Users
from tests.simulation.work import outputs
from tests.simulation.world import SECRET, World

from airscrew.engine.data.data_uri import encode_data_uri
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.ids import attempt_key
from airscrew.state import keys
from airscrew.state.records import LedgerEntry, LedgerState, PhaseEvent, Record, RecordError, Stage, decode
from airscrew.state.store import prefix_end

_ASKED_FOR = ("PendingTimeout", "QueuedTimeout", "BadCustomState")
ASKED_FOR = frozenset(f"{before}{code}" for before in ("", "RetriesExhausted|") for code in _ASKED_FOR)
"""Failures of kind SYSTEM that people set a time for, a plugin makes, or a kill; no other may use up an attempt."""

OUTPUT_URI = encode_data_uri(outputs().SerializeToString())


async def check_all(
    world: World,
    store: FaultyStore,
    history: History,
    users: Users,
    services: list[Service],
    sinks: list[KeepingSink],
    *,
    cleared: bool,
) -> None:
    """Check every invariant; violations are noted in the world."""
    ledger = await _ledger(store)
    if cleared and ledger:
        world.violate(f"2: the ledger has entries that were cleared: {sorted(ledger)}")
    _ends(world, history)
    _submissions(world, history, users)
    if not cleared:
        _jobs(world, services, ledger, users.cleared)
        _words(world, users, ledger)
    _ledger_is_struck_off(world, history, ledger)
    _verdicts_fit(world, history, users, services)
    dead, unreadable = await _dead_letters(store)
    for sink in sinks:
        _events(world, history, sink, dead)
        for key in users.damages:
            if f"{sink.name} {key}" not in unreadable:
                world.violate(
                    f"7: the bytes at {key} that nobody can read are not among the dead letters of {sink.name}"
                )


def _ends(world: World, history: History) -> None:
    for name in history.options:
        record = history.records.get(name)
        if record is None:
            world.violate(f"4: {name} was accepted and never looked at")
        elif not record.ended_at or record.stage is not Stage.DONE:
            world.violate(f"4: {name} never ends: {_how(record)}")


def _how(record: Record) -> str:
    return f"{record.stage} {record.phase.title} {record.reason} quarantine={record.quarantine!r}"


def _submissions(world: World, history: History, users: Users) -> None:
    pruned = {(name, options.uid) for name, options, _ in history.pruned}
    for name, uid in users.acknowledged.items():
        options = history.options.get(name)
        if (name, uid) in pruned:
            continue
        if options is None:
            world.violate(f"5: {name} was acknowledged and is lost")
        elif options.uid != uid:
            world.violate(f"5: {name} was acknowledged as {uid} and is {options.uid}")


def _jobs(world: World, services: list[Service], ledger: dict[str, LedgerEntry], cleared: set[str]) -> None:
    """Nothing is live but what the ledger or a person answers for; and every job belongs to an attempt that began."""
    now = world.loop.time()
    for service in services:
        for job in service.jobs.values():
            entry = ledger.get(job.key)
            if not job.is_live(now) or job.key in cleared:
                continue
            if service.is_untold(job):
                world.limit("a late start of which nobody could tell runs on")
            elif service.is_unknown_twin(job):
                world.limit("a twin that nobody listed runs on")
            elif entry is None or entry.state is not LedgerState.UNKNOWN:
                world.violate(f"2: {job.id} of {job.execution} is live after its end; ledger: {entry}")


def _words(world: World, users: Users, ledger: dict[str, LedgerEntry]) -> None:
    """What is heard of a start whose execution is gone stays in the ledger until a person has seen to it."""
    for key in users.words - users.cleared - ledger.keys():
        world.violate(f"2: word of the late start {key} of an execution that is gone is lost")


def _ledger_is_struck_off(world: World, history: History, ledger: dict[str, LedgerEntry]) -> None:
    for key, entry in ledger.items():
        record = history.records.get(entry.execution)
        if record is None or record.uid != entry.uid:
            if not entry.note.startswith("a start that came late"):
                world.violate(f"2: the ledger entry {key} is of {entry.execution}, which is not there any more")
            continue
        is_doubted = any(doubt.attempt == entry.attempt for doubt in record.doubts)
        if entry.state is not LedgerState.UNKNOWN or (record.intent is None and not is_doubted):
            world.violate(f"2: the ledger entry {key} of {entry.execution} is open: {entry.state}")


def _verdicts_fit(world: World, history: History, users: Users, services: list[Service]) -> None:
    """What an execution ended as is what its jobs did, as far as nobody asked for another end."""
    by_key: dict[str, list[Job]] = {}
    for service in services:
        for job in service.jobs.values():
            by_key.setdefault(job.key, []).append(job)
    for name, options, record in history.all():
        attempts = [(past.attempt, past.error) for past in record.attempts] + [(record.attempt, record.error)]
        for number, error in attempts:
            own = by_key.get(attempt_key(history.installation, options.uid, number), [])
            if error is not None and error.kind is ErrorKind.SYSTEM:
                _system_failure(world, f"attempt {number} of {name}", options.task_type, error, own)
        wanted = name in users.killed or options.parent
        if record.error is not None and record.error.code == "Aborted" and not wanted:
            world.violate(f"4: {name} was aborted and nobody asked for it")
        if record.phase.title == "Success" and options.outputs and record.output_uri != OUTPUT_URI:
            world.violate(f"3: {name} succeeded and its outputs are {record.output_uri!r}")
        own = by_key.get(attempt_key(history.installation, options.uid, record.attempt), [])
        if record.phase.title == "Success" and own and all(job.outcome != "succeeded" for job in own):
            world.violate(f"3: {name} succeeded and its job did not: {own[0].outcome}")


def _system_failure(world: World, what: str, task_type: str, error: ExecutionError, own: list[Job]) -> None:
    """No outage uses up an attempt; only what can be neither asked for again nor found fails, and says why."""
    if error.code in {"Vanished", "ResourceDeletedExternally"}:
        world.violate(f"2: the job of {what} vanished: {error.message}")
    elif error.code == "StartOutcomeUnknown":
        if not error.message.partition("not known: ")[2]:
            world.violate(f"1: {what} failed for an unknown start and does not say why: {error}")
        if task_type == "listed":
            world.violate(f"1: {what} can be found, and failed for an unknown start: {error.message}")
    elif error.code.endswith("Cancelled"):
        if not any(job.late_of or job.is_straggler for job in own):
            world.violate(f"1: a job of {what} was stopped, and nobody had sent its start late")
    elif error.code not in ASKED_FOR:
        world.violate(f"1: {what} was used up by an outage: {error.code}: {error.message}")


def _events(world: World, history: History, sink: KeepingSink, dead: set[str]) -> None:
    """At least once, in order, none lost, none made up."""
    told: dict[str, tuple[int, int]] = {}
    seen: set[str] = set()
    for event in sink.events:
        if SECRET in f"{event.reason}{event.error}":
            world.violate(f"9: a secret is in event {event.id}")
        if event.id not in seen:
            place = (event.attempt, event.version)
            if place < told.get(event.uid, (0, 0)):
                world.violate(
                    f"events of {event.execution} come out of order at {sink.name}: {place} after {told[event.uid]}"
                )
            told[event.uid] = place
            seen.add(event.id)
    for event in history.events.values():
        if event.id not in seen and not (sink.refuses(event) and f"{sink.name} {event.id}" in dead):
            world.violate(f"event {event.id} of {event.execution} ({event.phase.title}) never came to {sink.name}")
    for name, execution in history.shown.items():
        if name not in history.events:
            world.violate(f"no event tells of the report {name} of {execution}")


async def _ledger(store: FaultyStore) -> dict[str, LedgerEntry]:
    page = await store.inner.range(keys.LEDGER, prefix_end(keys.LEDGER))
    return {item.key.rpartition("/")[2]: decode(item.value, LedgerEntry) for item in page.items}


async def _dead_letters(store: FaultyStore) -> tuple[set[str], set[str]]:
    """Read which sink refused which event, and which key each found unreadable."""
    page = await store.inner.range(keys.DEAD_EVENTS, prefix_end(keys.DEAD_EVENTS))
    refused: set[str] = set()
    unreadable: set[str] = set()
    for item in page.items:
        _, sink, key = item.key.split("/", 2)
        try:
            refused.update(f"{sink} {event.id}" for event in decode(item.value, list[PhaseEvent]))
        except RecordError:
            unreadable.add(f"{sink} {key}")
    return refused, unreadable
