"""
From what is stored to what is shown: pure.
"""

from __future__ import annotations

import msgspec

from airscrew.engine.api.model import AttemptView, ExecutionView, LeakView
from airscrew.engine.machine import ledger_entry
from airscrew.idl.ids import AttemptKey, ExecutionId, attempt_key
from airscrew.idl.json_tree import BAD_JSON
from airscrew.state.records import LedgerEntry, Options, Record, Stage


def execution_view(
    execution: ExecutionId, options: Options, record: Record, *, installation: str, output_prefix: str = ""
) -> ExecutionView:
    """Show an execution."""
    key = attempt_key(installation, options.uid, record.attempt)
    entry = ledger_entry(record, options, str(execution))
    return ExecutionView(
        execution=str(execution),
        uid=options.uid,
        task_type=options.task_type,
        task_name=options.task_name,
        executor=record.executor,
        phase=record.phase,
        phase_version=record.version,
        reason=record.reason,
        since=record.since,
        attempt=record.attempt,
        max_attempts=options.max_attempts,
        key=key,
        info=record.info,
        custom_state=shown_state(record),
        error=record.error or (record.verdict.error if record.verdict is not None else None),
        output_uri=record.output_uri,
        output_prefix=output_prefix,
        deck_uri=record.deck_uri,
        quarantined=record.quarantine,
        next_try_at=0.0 if record.stage is Stage.DONE else max(record.next_check, record.not_before),
        cache_status=record.cache,
        labels=options.labels,
        parent=options.parent,
        origin=options.origin,
        accepted_at=options.accepted_at,
        started_at=record.started_at,
        ended_at=record.ended_at,
        attempts=[
            AttemptView(
                attempt=past.attempt,
                phase=past.phase,
                error=past.error,
                started_at=past.started_at,
                ended_at=past.ended_at,
            )
            for past in record.attempts
        ],
        ledger=[] if entry is None else [key],
    )


def shown_state(record: Record) -> object:
    """Decode custom state as plain JSON; what does not decode is shown as its text."""
    data = bytes(record.state)
    if not data:
        return None
    try:
        return msgspec.json.decode(data)
    except BAD_JSON:
        return data.decode(errors="replace")


def leak_view(key: AttemptKey, entry: LedgerEntry, note: str) -> LeakView:
    """Show an open ledger entry."""
    return LeakView(
        key=key,
        execution=entry.execution,
        executor=entry.executor,
        attempt=entry.attempt,
        state=entry.state.value,
        since=entry.since,
        note=note,
    )
