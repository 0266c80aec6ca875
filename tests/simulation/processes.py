"""
Lives as processes of their machines: an engine that dies there is known to be gone to whoever comes next on the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from tests.simulation.world import EngineLife, World

from airscrew.state import holder, lease_lock
from airscrew.state.holder import Holder


def process_of(life: EngineLife | None) -> Holder:
    """Describe the process that a life is."""
    if life is None:
        return Holder(host="outside", pid=0)
    machine = life.plan.machine
    return _process(machine, life.number)


def crashed_before() -> Holder:
    """Describe the process of an engine that crashed before the first life."""
    return _process(0, 0)


def _process(machine: int, number: int) -> Holder:
    return Holder(host=f"machine-{machine}", pid=number, boot=f"boot-{machine}", space="all", started=str(number))


@contextmanager
def lives_as_processes(world: World) -> Iterator[None]:
    """Let the code of a life take it for its process, and see which others of its machine are alive."""

    def started(pid: int) -> str:
        alive = 0 < pid <= len(world.lives) and not world.lives[pid - 1].dead
        return str(pid) if alive else ""

    def myself() -> Holder:
        return process_of(world.life())

    with (
        patch.object(holder, "_started", started),
        patch.object(holder, "myself", myself),
        patch.object(lease_lock, "myself", myself),
    ):
        yield
