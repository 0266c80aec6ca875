"""
What an executor declares: of its ``start_task``, how an unknown outcome is resolved; and which rights it needs.

A start is unknown when its reply was lost: a time-out, a broken connection, a crash of the engine between the call
and the write of its result, a take-over. Until it is resolved, no further start, retry or kill of the execution goes
on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoEffect:
    """Starting creates nothing outside; it may be called any number of times. No intent is written."""


@dataclass(frozen=True, slots=True)
class Idempotent:
    """
    Starting again with the same key and the same request changes nothing and answers the same.

    Attributes:
        window: For how many seconds after the first request the provider keeps the key; None for ever. Beyond it the
            start is treated as ``AtMostOnce``.
    """

    window: float | None = None


@dataclass(frozen=True, slots=True)
class Findable:
    """
    ``find`` lists everything that carries the key, what has finished included.

    Attributes:
        settle: How many seconds after a request could last have been sent its effect is listed for certain. Absence
            counts only then.
    """

    settle: float = 60.0


@dataclass(frozen=True, slots=True)
class AtMostOnce:
    """
    Nothing can be told of a lost start: there is no second call and no automatic retry.

    The execution fails with code ``StartOutcomeUnknown``, kind SYSTEM, and its ledger entry stays until it is
    cleared.
    """


StartDeclaration = NoEffect | Idempotent | Findable | AtMostOnce


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRequirements:
    """
    What an attempt takes of a quota, from before its start until nothing of it is left.

    Attributes:
        pool: Which quota; one that the operator has not set limits nothing.
        units: How many of its units, 1 to 20.
    """

    pool: str
    units: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRight:
    """
    What an executor does to objects of a Kubernetes cluster, in each namespace that has tasks.

    ``airscrew rbac`` writes roles of these, and the chart has no others.

    Attributes:
        group: The API group; empty for the core.
        resources: Kinds by their plural, parts of them as ``pods/log``.
        verbs: Of the API: ``get``, ``list``, ``watch``, ``create``, ``patch``, ``delete``.
    """

    group: str = ""
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
