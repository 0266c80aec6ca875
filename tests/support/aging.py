"""
An executor in two versions, for engines that are upgraded: the newer one keeps its state in another form.

A task runs for as long as the older version looks at it, and succeeds once the newer one has made its state anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flyteidl.core import tasks_pb2

NAME = "airscrew_aging"
OLD = '''
"""Keeps since when."""
import msgspec
from airscrew.engine.executor import Executor, NoEffect, TaskStatus

class State(msgspec.Struct, frozen=True):
    since: float

class Aging(Executor[State]):
    id, task_types, state_type = "aging", ("aging",), State
    start_declaration, produces_outputs, check_interval = NoEffect(), False, 2.0

    def start_task(self, context, template):
        return TaskStatus.running(State(since=1.0))

    def check_task_status(self, context, state):
        return TaskStatus.running(state)
'''
NEW = '''
"""Keeps when it was started, and reads what was kept before."""
import msgspec
from airscrew.engine.executor import Executor, NoEffect, TaskStatus

class State(msgspec.Struct, frozen=True):
    started: float
    aged: bool = False

class Aging(Executor[State]):
    id, task_types, state_type, state_version = "aging", ("aging",), State, 2
    start_declaration, produces_outputs, check_interval = NoEffect(), False, 2.0

    def start_task(self, context, template):
        return TaskStatus.running(State(started=1.0))

    def check_task_status(self, context, state):
        return TaskStatus.success(state) if state.aged else TaskStatus.running(state)

    def migrate_state(self, state, version):
        return {"started": state["since"], "aged": True}
'''


def old_plugin(folder: Path) -> Sequence[Path]:
    """Write the older version as it is installed; returns what an image takes in."""
    return _plugin(folder, "1", OLD)


def new_plugin(folder: Path) -> Sequence[Path]:
    """Write the newer one."""
    return _plugin(folder, "2", NEW)


def _plugin(folder: Path, version: str, code: str) -> Sequence[Path]:
    package, info = folder / version / NAME, folder / version / f"{NAME}-{version}.dist-info"
    for each in (package, info):
        each.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[airscrew.executors]\naging = {NAME}:Aging\n")
    return (package, info)


def aging_task() -> bytes:
    """A task for it, without inputs and outputs."""
    template = tasks_pb2.TaskTemplate(type="aging")
    template.id.name = "aging"
    made: bytes = template.SerializeToString()
    return made
