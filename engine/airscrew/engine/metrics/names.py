"""
Every metric of the engine: name, kind, labels, unit, and what it tells.

Guarantees: what ``/metrics`` shows is in ``METRICS``, under exactly these names, beside the process's own figures;
documentation, dashboard and alerts are compared with it. Importing this needs no library.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

LABELS: dict[str, str] = {
    "cache": "a cache of outside jobs: `<executor>/<what>`",
    "call": "`needs`, `start`, `check`, `kill`, `find`, `finalize`",
    "executor": "an executor's id; empty before one is chosen",
    "file": "`api`",
    "kind": "`system`, `user`, `unknown`; empty without an error. Of calls, `unknown` is an answer that never came or "
    "is none, and `not_started` says that nothing was begun",
    "operation": "`get`, `range`, `txn`",
    "part": "`engine`, `kubernetes`, `external`, `user`",
    "phase": "a phase, as `airscrew list` shows it",
    "pool": "a quota, as the settings name it",
    "version": "of airscrew",
    "watch": "a kind of objects: `kubernetes/pods`",
}
"""Every label, and what bounds its values."""

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """
    One metric; equal to itself alone, so that looking it up costs nothing.

    Attributes:
        name: As Prometheus shows it; a counter's ends in ``_total``.
        kind: ``counter``, ``gauge`` or ``histogram``.
        labels: Their names, in the order in which values are given.
        unit: ``seconds``, or empty for a plain number.
        help: What it tells.
        buckets: The upper bounds of a histogram's buckets, without the last, which has none.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    unit: str
    help: str
    buckets: tuple[float, ...] = field(default=())

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its series, as a query writes them."""
        if self.kind == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)


def _counter(name: str, text: str, *labels: str, unit: str = "") -> Metric:
    return Metric(name, "counter", labels, unit, text)


def _gauge(name: str, text: str, *labels: str, unit: str = "") -> Metric:
    return Metric(name, "gauge", labels, unit, text)


def _seconds(name: str, text: str, *labels: str, buckets: tuple[float, ...] = FAST) -> Metric:
    return Metric(name, "histogram", labels, "seconds", text, buckets)


BUILD_INFO = _gauge("airscrew_build_info", "1, with the version.", "version")
READY = _gauge("airscrew_ready", "1 while /readyz says yes.")

TURN_SECONDS = _seconds("airscrew_turn_seconds", "How long a round with one execution took.", buckets=SLOW)
TURN_FAILURES = _counter("airscrew_turn_failures_total", "Rounds that failed and are tried again.")

LOOP_LAG = _seconds("airscrew_loop_lag_seconds", "How much later than asked the loop came back to a timer.")
LOOP_HELD = _counter(
    "airscrew_loop_held_seconds_total", "How long an executor's code had the loop.", "executor", unit="seconds"
)
LOOP_BLOCKS = _counter(
    "airscrew_loop_blocks_total", "Times that an executor's code had the loop for over 0.25 s.", "executor"
)

QUEUE_DEPTH = _gauge("airscrew_queue_depth", "Executions that wait for their turn.")
QUEUE_OLDEST = _gauge("airscrew_queue_oldest_seconds", "How long the oldest of them has waited.", unit="seconds")
QUEUE_DELAYED = _gauge("airscrew_queue_delayed", "Executions whose next look has a time.")
QUEUE_PROCESSING = _gauge("airscrew_queue_in_processing", "Executions that have their turn now.")
QUEUE_ADDS = _counter("airscrew_queue_adds_total", "Times that an execution was put into the queue.")

EXECUTIONS = _gauge("airscrew_executions", "Unfinished executions under control.", "executor", "phase")
ENDED = _counter(
    "airscrew_executions_ended_total",
    "Executions that came to their end here; the kind is that of the error, empty without one.",
    "executor",
    "phase",
    "kind",
)
QUARANTINED = _gauge("airscrew_quarantined", "Executions in quarantine.", "executor")
BREAKER_OPEN = _gauge("airscrew_breaker_open", "1 while an executor's breaker holds starts back.", "executor")

CALL_SECONDS = _seconds(
    "airscrew_call_seconds", "How long a call of an executor took.", "executor", "call", buckets=SLOW
)
CALL_ERRORS = _counter("airscrew_call_errors_total", "Calls of an executor that failed.", "executor", "call", "kind")

CACHE_ITEMS = _gauge("airscrew_cache_items", "Outside jobs in a cache.", "cache")
CACHE_AGE = _gauge(
    "airscrew_cache_age_seconds", "How old the oldest value is of a job that still runs.", "cache", unit="seconds"
)
CACHE_LAG = _gauge(
    "airscrew_cache_lag_seconds", "How long the most overdue job has waited to be asked about.", "cache", unit="seconds"
)
CACHE_SYNCS = _counter("airscrew_cache_syncs_total", "Calls that asked about jobs.", "cache")
CACHE_FAILURES = _counter("airscrew_cache_failures_total", "Those of them that failed.", "cache")
WATCH_AGE = _gauge(
    "airscrew_watch_age_seconds", "How long the most silent watch of a kind has told nothing.", "watch", unit="seconds"
)

STORE_UP = _gauge("airscrew_store_up", "1 while the store answers.")
STORE_SECONDS = _seconds("airscrew_store_seconds", "How long the store took to answer.", "operation")
STORE_ERRORS = _counter("airscrew_store_errors_total", "Requests that the store did not answer.", "operation")
STORE_CONFLICTS = _counter("airscrew_store_conflicts_total", "Writes of a step that somebody else's came before.")

ADOPTIONS = _counter(
    "airscrew_adoptions_total", "Jobs found outside and taken over, that another start would have doubled.", "executor"
)
LEAKS = _gauge(
    "airscrew_leaks", "Attempts of which it is not known whether something lies outside; told by the leader."
)

QUOTA_LIMIT = _gauge("airscrew_quota_limit", "Units that a quota has.", "pool")
QUOTA_USED = _gauge("airscrew_quota_used", "Units of it that are taken, over all engines.", "pool")
QUOTA_WAITING = _gauge("airscrew_quota_waiting", "Executions that wait for some, over all engines.", "pool")
QUOTA_OLDEST = _gauge(
    "airscrew_quota_oldest_wait_seconds", "How long the first of them has waited.", "pool", unit="seconds"
)

TIME = _counter(
    "airscrew_time_seconds_total",
    "Where the time of executions goes: in the engine, until Kubernetes or another outside system runs them and "
    "after it did, and in the user's own code.",
    "part",
    unit="seconds",
)

MEMBERS = _gauge("airscrew_members", "Engines that share the store, this one included.")
SHARDS_HELD = _gauge("airscrew_shards_held", "Shards that this engine has.")
LEADER = _gauge("airscrew_leader", "1 in the engine that does the chores of all.")

CERTIFICATE_EXPIRY = _gauge(
    "airscrew_certificate_expiry_timestamp_seconds", "When a certificate that is served ends.", "file", unit="seconds"
)

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All of them, in the order of this file."""


def table() -> str:
    """Return all of them as a table for people, in Markdown."""
    rows = ["| metric | kind | labels | what it tells |", "|--|--|--|--|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(rows)


def label_table() -> str:
    """Return what bounds each label as a table, in Markdown."""
    rows = ["| label | values |", "|--|--|"]
    return "\n".join([*rows, *(f"| `{label}` | {text} |" for label, text in LABELS.items())])
