"""
Which of the installed executors are new to a process that has begun: a decision, and the imports that follow from it.

Guarantees: nothing of a package is imported in another version than the process has of it already, for its modules
would be a mixture; what works stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint

from airscrew.engine.api.model import LoadView
from airscrew.engine.errors import ConflictingExecutorsError
from airscrew.engine.executor import AnyExecutor
from airscrew.engine.registry.discovery import discover, is_editable, package_of
from airscrew.engine.registry.registry import Candidate

Known = tuple[Candidate, AnyExecutor | None, str]
"""A candidate that the process has, its instance, and its problem, as ``Registry.all`` lists them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """
    What a look at the installed executors found.

    Attributes:
        candidates: Those to take in.
        disabled: The ids of those among them that the configuration does not want.
        others: What is told of all that is not to be taken in.
        editable: The ids of candidates whose sources lie where only a process that begins now looks.
    """

    candidates: Sequence[Candidate] = ()
    disabled: frozenset[str] = frozenset()
    others: Sequence[LoadView] = ()
    editable: frozenset[str] = frozenset()


def look_for_arrivals(
    points: Sequence[EntryPoint], known: Sequence[Known], disabled_of: Callable[[Sequence[Candidate]], frozenset[str]]
) -> Arrived:
    """
    Sort the installed executors, and import those that are new. Not to be called on an event loop: imports take time.

    Args:
        points: Those that are installed.
        known: Those that the process has.
        disabled_of: Says which of some candidates the configuration does not want, by their ids.

    Raises:
        ConflictingExecutorsError: One calls itself as one does that works.
    """
    has = {candidate.id: one for one in known for candidate in one[:1]}
    fresh: list[EntryPoint] = []
    others: list[LoadView] = []
    for point in sorted(points, key=lambda point: point.name):
        told = _told(point, has.get(point.name), known)
        if told is None:
            fresh.append(point)
        else:
            others.append(told)
    candidates = discover(fresh)
    return Arrived(
        candidates=candidates,
        disabled=disabled_of(candidates),
        others=others,
        editable=frozenset(point.name for point in fresh if is_editable(point)),
    )


def _told(point: EntryPoint, mine: Known | None, known: Sequence[Known]) -> LoadView | None:
    """Say why an installed executor is not to be taken in; None when it is."""
    installed = "" if point.dist is None else point.dist.version
    package = package_of(point)
    if mine is not None and not mine[2] and mine[0].package != package:
        raise ConflictingExecutorsError(f"{mine[0].origin} and {point.value} both call themselves {point.name}")
    loaded = [candidate.version for candidate, _, _ in known if package and candidate.package == package]
    other = next((version for version in loaded if version != installed), None)
    if other is not None:
        reason = (
            f"{package} {other} is loaded and {installed} is installed: restart the engine, it adopts all that runs"
        )
        return LoadView(id=point.name, outcome="restart", version=other, installed=installed, reason=reason)
    if mine is None or mine[2]:
        return None
    if not mine[0].enabled:
        return LoadView(id=point.name, outcome="there", installed=installed, reason="the settings leave it out")
    types = [] if mine[1] is None else list(mine[1].task_types)
    return LoadView(id=point.name, outcome="there", version=installed, installed=installed, task_types=types)


def disabled_view(candidate: Candidate) -> LoadView:
    """Show an executor that the configuration does not want."""
    reason = "the settings leave it out: change them and restart the engine"
    return LoadView(id=candidate.id, outcome="disabled", installed=candidate.version, reason=reason)
