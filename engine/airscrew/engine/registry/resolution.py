"""
Task type to executor: a pure decision.

Order: the executor that the submission names; the configured default for the task type; the only candidate for it; an
executor that takes containers, for an unknown type with a container or Pod target; else an error that names the
nearest known type. Several candidates without a default are a start-up error, found by ``conflicts``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airscrew.engine.errors import UnknownTaskTypeError
from airscrew.idl.errors import UsageError


@dataclass(frozen=True, slots=True)
class Resolution:
    """
    What the registry knows, reduced to what a decision needs.

    Attributes:
        by_type: For each task type, the ids of the executors that take it, sorted.
        defaults: For each task type, the configured executor's id.
        container_takers: The ids of executors that take unknown types with a container target, sorted.
        ids: The ids of all executors.
        disabled: The ids of executors that are installed and not enabled, sorted.
    """

    by_type: Mapping[str, Sequence[str]]
    defaults: Mapping[str, str]
    container_takers: Sequence[str]
    ids: frozenset[str]
    disabled: Sequence[str] = ()


def resolve(known: Resolution, task_type: str, *, has_container: bool, wanted: str = "") -> str:
    """
    Pick the id of the executor for a task.

    Raises:
        UsageError: The executor that was named does not exist.
        UnknownTaskTypeError: Nothing takes the task type.
    """
    if wanted:
        if wanted in known.ids:
            return wanted
        raise UsageError(f"executor {wanted!r} is not installed or not enabled{nearest(wanted, known.ids)}")
    if task_type in known.defaults:
        return known.defaults[task_type]
    candidates = known.by_type.get(task_type, ())
    if candidates:
        return candidates[0]
    if has_container and known.container_takers:
        return known.container_takers[0]
    hint = nearest(task_type, known.by_type)
    if known.disabled:
        hint += f"; not enabled: {', '.join(known.disabled)}"
    raise UnknownTaskTypeError(f"no executor takes task type {task_type!r}{hint}; `airscrew plugins` lists them")


def conflicts(known: Resolution) -> list[str]:
    """Name every task type that several executors take and none is the default for, with the key to set."""
    found = [
        f"task type {task_type!r} is taken by {', '.join(ids)}: set default_for_task_types.{task_type} to one of them"
        for task_type, ids in sorted(known.by_type.items())
        if len(ids) > 1 and task_type not in known.defaults
    ]
    if len(known.container_takers) > 1 and "container" not in known.defaults:
        found.append(
            f"tasks with containers are taken by {', '.join(known.container_takers)}: "
            "set default_for_task_types.container to one of them"
        )
    return found


def nearest(word: str, known: Iterable[str]) -> str:
    """Make the hint that names the nearest known word, in whatever case; empty when none is near."""
    spelled = {one.lower(): one for one in known}
    found = difflib.get_close_matches(word.lower(), spelled, n=1, cutoff=0.6)
    return f" (did you mean {spelled[found[0]]!r}?)" if found else ""
