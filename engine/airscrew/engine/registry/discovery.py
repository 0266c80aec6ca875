"""
Finding executors by the entry-point group ``airscrew.executors``: each load error is contained and kept.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points

from typing_extensions import TypeIs

from airscrew.engine.executor import AnyExecutor, Executor
from airscrew.engine.registry.registry import Candidate

GROUP = "airscrew.executors"


def discover(found: Iterable[EntryPoint] | None = None) -> list[Candidate]:
    """
    List the installed executors, those that do not load included, sorted by name.

    Args:
        found: The entry points to look at; None for those installed.
    """
    chosen = entry_points(group=GROUP) if found is None else found
    versions: dict[int, str] = {}
    return [_load(point, _version(point, versions)) for point in sorted(chosen, key=lambda point: point.name)]


def look_again() -> Sequence[EntryPoint]:
    """List the entry points that are installed now, those of packages younger than this process included."""
    importlib.invalidate_caches()
    return entry_points(group=GROUP)


def is_editable(point: EntryPoint) -> bool:
    """Tell whether a package's sources lie elsewhere: a process sees those from its start on."""
    told = point.dist.read_text("direct_url.json") if point.dist is not None else None
    return '"editable": true' in (told or "")


def _version(point: EntryPoint, known: dict[int, str]) -> str:
    """Read the version of an entry point's distribution, once for each: it is a file to parse."""
    if point.dist is None:
        return ""
    if id(point.dist) not in known:
        known[id(point.dist)] = point.dist.version
    return known[id(point.dist)]


def _load(point: EntryPoint, version: str) -> Candidate:
    found = Candidate(id=point.name, origin=point.value, version=version, package=package_of(point))
    try:
        loaded: object = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's module concerns that plugin alone
        return replace(found, problem=_one_line(error))
    if is_executor_class(loaded):
        return replace(found, make=loaded, needs_config=loaded.needs_config)
    return replace(found, problem=f"{point.value} is no Executor class")


def package_of(point: EntryPoint) -> str:
    """Return the name of the distribution that an entry point comes from; empty when that is not known."""
    return "" if point.dist is None else point.dist.name


def is_executor_class(loaded: object) -> TypeIs[type[AnyExecutor]]:
    """Tell whether what an entry point names is an executor."""
    return isinstance(loaded, type) and issubclass(loaded, Executor)


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
