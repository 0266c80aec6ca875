"""
What the store holds of an execution, and its JSON form.

Two parts. ``Options`` is written once at acceptance and never changes. ``Record`` is small, is read and written alone
by each step, and stays legible: custom state is embedded as the JSON that it is. Beside them lie ledger entries, events
and requests. Options and records carry ``v``, the version of airscrew's schema that wrote them; fields that a newer
version wrote and this one does not know survive a rewrite.

Times are Unix seconds of the engine's time base, which never runs backwards. What is here is data: nothing in it MUST
ever decide, read a clock, or reach a store; and a field that has been written MUST keep its meaning.
"""

from __future__ import annotations

from airscrew.state.records.codec import (
    MAX_RECORD_BYTES,
    SCHEMA_VERSION,
    RecordError,
    decode,
    decode_options,
    decode_record,
    encode,
    encode_record,
    form_of,
    template_in,
)
from airscrew.state.records.notes import (
    LedgerEntry,
    LedgerState,
    PhaseEvent,
    Request,
    TokenHolder,
)
from airscrew.state.records.options import (
    CacheOptions,
    Options,
)
from airscrew.state.records.record import (
    ATTEMPTS_KEPT,
    NO_INFO,
    NO_STATE,
    Doubt,
    Intent,
    PastAttempt,
    Place,
    Record,
    Stage,
    Verdict,
    system_error,
    user_error,
)

__all__ = [
    "ATTEMPTS_KEPT",
    "MAX_RECORD_BYTES",
    "NO_INFO",
    "NO_STATE",
    "SCHEMA_VERSION",
    "CacheOptions",
    "Doubt",
    "Intent",
    "LedgerEntry",
    "LedgerState",
    "Options",
    "PastAttempt",
    "PhaseEvent",
    "Place",
    "Record",
    "RecordError",
    "Request",
    "Stage",
    "TokenHolder",
    "Verdict",
    "decode",
    "decode_options",
    "decode_record",
    "encode",
    "encode_record",
    "form_of",
    "system_error",
    "template_in",
    "user_error",
]
