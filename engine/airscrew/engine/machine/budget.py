"""
Retry budgets, deadlines and back-off: small pure sums.

Failures of kind SYSTEM and USER have budgets of their own. An attempt that is over by a deadline is charged like any
other failure: ``attempt`` to USER, ``pending`` to SYSTEM; ``queued`` and ``total`` end the execution.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from airscrew.engine.machine.view import Policy, spread
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.phase import Phase
from airscrew.state.records import Options, Record, Stage, Verdict


@dataclass(frozen=True, slots=True, order=True)
class Deadline:
    """A point in time after which the execution or its attempt is over."""

    at: float
    name: str
    seconds: float


def deadlines(record: Record, options: Options) -> list[Deadline]:
    """List the deadlines that run now, the nearest first; they run in every stage, quarantine included."""
    if record.verdict is not None or record.ended_at:
        return []
    limits = options.timeouts
    begun = record.started_at > 0
    running = [("total", options.accepted_at)]
    if not begun and record.attempt == 0:
        running.append(("queued", options.accepted_at))
    if begun:
        running.append(("attempt", record.started_at))
        if not record.running_at and record.stage is not Stage.CHILDREN:
            running.append(("pending", record.started_at))
    found = [Deadline(since + limits[name], name, limits[name]) for name, since in running if limits.get(name, 0) > 0]
    return sorted(found)


def may_retry(record: Record, options: Options, policy: Policy, kind: ErrorKind) -> bool:
    """Tell whether the budget of a kind allows another attempt after one more failure of it."""
    if kind is ErrorKind.SYSTEM:
        return record.system_failures < policy.system_retries
    return record.user_failures + 1 < options.max_attempts


def judge(record: Record, options: Options, policy: Policy, verdict: Verdict) -> Verdict:
    """Complete a verdict: decide by the budgets whether a retryable failure is retried or final."""
    if verdict.phase is not Phase.RETRYABLE_FAILURE:
        return verdict
    error = verdict.error or ExecutionError(code="Unknown", message="the executor gave no error", kind=ErrorKind.USER)
    if may_retry(record, options, policy, error.kind):
        return msgspec.structs.replace(verdict, retry=True, error=error)
    exhausted = msgspec.structs.replace(error, code=f"RetriesExhausted|{error.code}")
    return msgspec.structs.replace(verdict, phase=Phase.PERMANENT_FAILURE, error=exhausted)


def is_interruptible(record: Record, options: Options, policy: Policy) -> bool:
    """Tell whether the current attempt may be put on capacity that can be taken away."""
    if not options.interruptible:
        return False
    threshold = policy.interruptible_failures
    if threshold < 0:
        threshold = max(policy.system_retries + 1 + threshold, 0)
    return record.system_failures < threshold


def call_delay(policy: Policy, failures: int, seed: str) -> float:
    """Seconds to wait after so many failed calls in a row: doubling, capped, spread by up to a quarter."""
    delay = min(policy.backoff * 2.0 ** min(failures - 1, 30), policy.backoff_cap)
    return delay * (0.75 + 0.25 * spread(f"{seed}:{failures}"))


def retry_delay(policy: Policy, record: Record, wanted: float | None) -> float:
    """Seconds before the next attempt: what was asked for, else doubling with each attempt."""
    if wanted is not None:
        return max(wanted, 0.0)
    delay = min(policy.retry_delay * 2.0 ** min(record.attempt, 30), policy.backoff_cap)
    return delay * (0.75 + 0.25 * spread(f"{record.uid}:{record.attempt}"))
