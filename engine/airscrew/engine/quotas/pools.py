"""
What quotas are set: pools, the shares within them, and who belongs to which.

Guarantees: pure. A scope is told by its name as a whole, so ``foo`` is never charged for ``foobar``.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

from airscrew.engine.config import Quota

MAX_UNITS = 20
"""So many units one attempt can take: each is a compare, and a transaction has room for 128."""

PRIORITY_LABEL = "airscrew/priority"


class Pools:
    """
    The quotas of an engine.

    Args:
        quotas: By the name of the pool.
    """

    def __init__(self, quotas: Mapping[str, Quota]) -> None:
        self._quotas = dict(quotas)
        self._bound = {executor: pool for pool, quota in quotas.items() for executor in quota.executors}

    def __bool__(self) -> bool:
        """Whether any are set."""
        return bool(self._quotas)

    @property
    def names(self) -> tuple[str, ...]:
        """The pools."""
        return tuple(self._quotas)

    def need(self, executor: str, own: tuple[str, int]) -> tuple[str, int] | None:
        """
        Say which pool a task takes how many units of; None when no quota applies.

        Args:
            executor: The id of the executor that has it.
            own: What that executor says: a pool, or none, and units.
        """
        bound = self._bound.get(executor, "")
        pool, units = own
        if bound:
            return bound, units if pool == bound else 1
        return (pool, units) if pool in self._quotas else None

    def limit(self, scope: str) -> int | None:
        """Say how many units a scope has; None when that is not limited."""
        pool, _, share = scope.partition("/")
        quota = self._quotas.get(pool)
        if quota is None or not share:
            return None if quota is None else quota.limit
        kind, _, name = share.partition("=")
        named, each = (quota.namespaces, quota.namespace) if kind == "namespace" else (quota.projects, quota.project)
        return named.get(unquote(name), each)

    def scopes(self, pool: str, namespace: str, project: str) -> tuple[str, ...]:
        """List the scopes that a task takes units of: the pool, and the shares that it falls under."""
        return tuple(scope for scope in all_scopes(pool, namespace, project) if self.limit(scope) is not None)

    def refusal(self, pool: str, units: int) -> str:
        """Say why so many units can never be had; empty when they can. A limit of 0 closes a pool for a while."""
        quota = self._quotas.get(pool)
        if not 1 <= units <= MAX_UNITS:
            return f"{units} units of quota {pool} are asked for: it must be 1 to {MAX_UNITS}"
        if quota is not None and 0 < quota.limit < units:
            return f"{units} units of quota {pool} are asked for and it has {quota.limit}"
        return ""


def all_scopes(pool: str, namespace: str, project: str) -> tuple[str, ...]:
    """List every scope that could count a task, limited or not."""
    shares = (("namespace", namespace), ("project", project))
    return (pool, *(f"{pool}/{kind}={quote(name, safe='')}" for kind, name in shares if name))


def scope_of(token: str) -> tuple[str, int]:
    """
    Read a token as its scope and number.

    Raises:
        ValueError: It is none.
    """
    scope, _, number = token.rpartition("/")
    return scope, int(number)


def title(scope: str) -> str:
    """Write a scope for people: ``athena``, ``athena (namespace team-a)``."""
    pool, _, share = scope.partition("/")
    kind, _, name = share.partition("=")
    return f"{pool} ({kind} {unquote(name)})" if share else pool


def priority_of(labels: Mapping[str, str]) -> int:
    """Read the priority out of an execution's labels; 0 when it has none, or what is no whole number."""
    try:
        return int(labels.get(PRIORITY_LABEL, "0"))
    except ValueError:
        return 0
