"""Several executors take Hive tasks: which one has them is the operator's word, and nobody's guess."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.plugins.qubole.qubole_kit import CONFIG

from airscrew.engine.config.settings import EngineSettings
from airscrew.engine.errors import ConflictingExecutorsError
from airscrew.engine.executor import Executor, NoEffect, TaskContext, TaskStatus
from airscrew.engine.manager import find_executors
from airscrew.engine.registry import Registry
from airscrew.idl.template import TaskTemplate


class NoState(msgspec.Struct, frozen=True):
    """Nothing."""


class OtherHive(Executor[NoState]):
    """Takes Hive tasks too."""

    id = "other-hive"
    task_types = ("hive", "presto")
    state_type = NoState
    start_declaration = NoEffect()

    def start_task(self, context: TaskContext[NoState], template: TaskTemplate) -> TaskStatus[NoState]:
        return TaskStatus.success(NoState())

    def check_task_status(self, context: TaskContext[NoState], state: NoState) -> TaskStatus[NoState]:
        return TaskStatus.success(state)


def found(tmp_path: Path, **settings: Any) -> Registry:
    return find_executors(EngineSettings(home=str(tmp_path), **settings), is_serving=False)


def test_without_a_configuration_of_its_own_it_is_not_enabled(tmp_path: Path) -> None:
    registry = found(tmp_path)

    assert registry.get("qubole") is None
    assert registry.why_absent("qubole") == "executor 'qubole' is not enabled"


@pytest.mark.parametrize("settings", [{"executors": {"qubole": CONFIG}}, {"enabled_executors": ("qubole",)}])
def test_its_configuration_or_its_name_enables_it(settings: dict[str, Any], tmp_path: Path) -> None:
    registry = found(tmp_path, **settings)

    registry.check_conflicts()

    assert registry.resolve("hive", has_container=False).id == "qubole"


def test_two_for_hive_without_a_default_are_the_error_that_names_the_key(tmp_path: Path) -> None:
    registry = found(tmp_path, enabled_executors=("qubole",))
    registry.register(OtherHive())

    with pytest.raises(ConflictingExecutorsError) as refusal:
        registry.check_conflicts()

    assert str(refusal.value) == (
        "task type 'hive' is taken by other-hive, qubole: set default_for_task_types.hive to one of them"
    )


def test_the_default_has_them(tmp_path: Path) -> None:
    registry = found(tmp_path, enabled_executors=("qubole",), default_for_task_types={"hive": "qubole"})
    registry.register(OtherHive())

    registry.check_conflicts()

    assert registry.resolve("hive", has_container=False).id == "qubole"
    assert registry.resolve("presto", has_container=False).id == "other-hive"


TRINO = {"url": "https://trino.test", "user": "ada"}
ATHENA = {"region": "eu-west-1"}


def test_three_for_hive_and_two_for_presto_are_told_by_their_names(tmp_path: Path) -> None:
    registry = found(tmp_path, executors={"qubole": CONFIG, "trino": TRINO, "athena": ATHENA})

    with pytest.raises(ConflictingExecutorsError) as refusal:
        registry.check_conflicts()

    told = str(refusal.value)
    assert "task type 'hive' is taken by athena, qubole, trino: set default_for_task_types.hive to one of them" in told
    registry = found(
        tmp_path,
        executors={"qubole": CONFIG, "trino": TRINO, "athena": ATHENA},
        default_for_task_types={"hive": "qubole"},
    )
    with pytest.raises(ConflictingExecutorsError, match=r"'presto' is taken by athena, trino: set default_for_"):
        registry.check_conflicts()


def test_each_type_may_have_a_default_of_its_own(tmp_path: Path) -> None:
    registry = found(
        tmp_path,
        executors={"qubole": CONFIG, "trino": TRINO, "athena": ATHENA},
        default_for_task_types={"hive": "trino", "presto": "athena"},
    )

    registry.check_conflicts()

    wanted = {"hive": "trino", "presto": "athena", "trino": "trino"}
    assert {kind: registry.resolve(kind, has_container=False).id for kind in wanted} == wanted
