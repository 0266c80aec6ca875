"""
What is shown of an execution, and what the ledger says of it: both follow from the record alone.
"""

from __future__ import annotations

import msgspec

from airscrew.idl.ids import AttemptKey, Uid
from airscrew.idl.phase import Phase, TaskInfo, may_follow
from airscrew.state.records import Doubt, LedgerEntry, LedgerState, Options, PhaseEvent, Record, Request, Stage


def report(record: Record, phase: Phase, reason: str, now: float, info: TaskInfo | None = None) -> Record:
    """
    Show a phase; nothing changes when it is what is shown already.

    A phase that may not follow the last one is a defect of the executor: the last one stays, and the reason says so.
    The version grows with every report of an attempt, so that (attempt, version) orders and names them.
    """
    info = record.info if info is None else info
    if not may_follow(record.phase, phase) and (phase is not record.phase or reason != record.reason):
        reason = f"{reason} ({phase.title} reported after {record.phase.title}: ignored)".lstrip()
        phase = record.phase
    if phase is record.phase and reason == record.reason and info == record.info:
        return record
    since = record.since if phase is record.phase else now
    return msgspec.structs.replace(
        record, phase=phase, reason=reason, info=info, version=record.version + 1, since=since
    )


def ledger_entry(record: Record, options: Options, execution: str) -> LedgerEntry | None:
    """Tell what may lie outside for the current attempt; None when certainly nothing does."""
    intent = record.intent
    if intent is None and not record.created:
        return None
    if intent is not None and intent.unknown_since:
        state, note = LedgerState.UNKNOWN, intent.reason
    elif intent is not None:
        state, note = LedgerState.INTENT, ""
    else:
        state, note = LedgerState.KNOWN, ""
    since = intent.written_at if intent is not None else record.started_at
    return LedgerEntry(
        execution=execution,
        uid=options.uid,
        executor=record.executor,
        attempt=record.attempt,
        state=state,
        since=since,
        note=note,
        tokens=record.tokens,
    )


def tidied(record: Record) -> Record:
    """
    Let go of what a record has no claim to any more: units of a quota, and a place in the line for them.

    Units go with the ledger entry. Who waits for children has none: the job of its own is over, and they may need them.
    """
    if record.tokens and (record.stage is Stage.CHILDREN or (record.intent is None and not record.created)):
        record = msgspec.structs.replace(record, tokens=())
    if record.waits is not None and (record.stage is not Stage.READY or record.quarantine):
        record = msgspec.structs.replace(record, waits=None)
    return record


def doubted_entry(record: Record, doubt: Doubt, execution: str) -> LedgerEntry:
    """Tell that a start which came late may have left something that nobody can look for."""
    return _late_entry(execution, record.uid, record.executor, doubt.attempt, doubt.since)


def late_entry(request: Request, execution: str) -> LedgerEntry:
    """Tell the same of an execution that is not there any more, by the word of whoever made the start."""
    return _late_entry(execution, Uid(request.uid), request.executor, request.attempt, request.since)


def _late_entry(execution: str, uid: Uid, executor: str, attempt: int, since: float) -> LedgerEntry:
    return LedgerEntry(
        execution=execution,
        uid=uid,
        executor=executor,
        attempt=attempt,
        state=LedgerState.UNKNOWN,
        since=since,
        note="a start that came late may have made a job",
    )


def open_entries(record: Record, options: Options, execution: str) -> dict[int, LedgerEntry]:
    """List what may lie outside, by attempt: of the current one, and of late starts of which nobody can tell."""
    entries = {doubt.attempt: doubted_entry(record, doubt, execution) for doubt in record.doubts}
    current = ledger_entry(record, options, execution)
    if current is not None:
        entries[record.attempt] = current
    return entries


def phase_event(record: Record, options: Options, execution: str, key: AttemptKey, now: float) -> PhaseEvent:
    """Make the event of the report that the record shows."""
    return PhaseEvent(
        id=f"{record.uid}-{record.attempt}-{record.version}",
        execution=execution,
        uid=record.uid,
        task_type=options.task_type,
        attempt=record.attempt,
        version=record.version,
        phase=record.phase,
        reason=record.reason,
        occurred_at=record.info.occurred_at or record.since,
        reported_at=now,
        key=key,
        executor=record.executor,
        info=record.info,
        error=record.verdict.error if record.verdict is not None else record.error,
        output_uri=record.output_uri,
    )
