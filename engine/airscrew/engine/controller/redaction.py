"""
Masking the values of secrets in what a fact tells people: it is stored, shown and sent on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from airscrew.engine.machine import (
    CallFailed,
    Fact,
    NothingStarted,
    StartFailed,
    StartUnknown,
    StateUnreadable,
    Told,
)

Redact = Callable[[str], str]


def redacted(fact: Fact, redact: Redact) -> Fact:
    """Return a fact without the values of secrets in its texts: the same one when there are none."""
    match fact:
        case Told():
            return _told(fact, redact)
        case NothingStarted(reason=text):
            clean = redact(text)
            return fact if clean == text else replace(fact, reason=clean)
        case StartFailed(message=text):
            clean = redact(text)
            return fact if clean == text else replace(fact, message=clean)
        case StartUnknown(message=text) | CallFailed(message=text) | StateUnreadable(message=text):
            clean = redact(text)
            return fact if clean == text else replace(fact, message=clean)
        case _:
            return fact


def _told(fact: Told, redact: Redact) -> Told:
    error = fact.error
    if error is not None:
        message = redact(error.message)
        if message != error.message:
            fact = msgspec.structs.replace(fact, error=msgspec.structs.replace(error, message=message))
    reason = redact(fact.reason)
    return fact if reason == fact.reason else msgspec.structs.replace(fact, reason=reason)
