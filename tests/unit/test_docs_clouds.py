"""
The configurations of the pages on Hive and on the services of clouds are read by the executors that they are for.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.reached import ROOT

from airscrew.engine.config.settings import EngineSettings
from airscrew.engine.manager import find_executors
from airscrew.plugins.http_provider import HttpExecutor

BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETTINGS: list[dict[str, Any]] = [
    yaml.safe_load(block)
    for page in ("clouds.md", "hive.md")
    for block in BLOCK.findall((ROOT / "docs" / page).read_text())
]
SECTIONS = [pair for settings in SETTINGS for pair in settings.get("executors", {}).items()]


@pytest.mark.parametrize(("name", "section"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_a_section_of_the_pages_is_one_that_its_executor_takes(
    name: str, section: dict[str, object], tmp_path: Path
) -> None:
    executor = find_executors(EngineSettings(home=str(tmp_path), executors={name: section}), is_serving=False).get(name)
    assert isinstance(executor, HttpExecutor)

    executor.make_plugin().configure(section)


def test_the_pages_show_each_of_them() -> None:
    assert {name for name, _ in SECTIONS} == {"athena", "aws-batch", "bigquery", "databricks", "trino", "qubole"}


def test_the_default_of_the_page_on_hive_settles_who_has_its_types(tmp_path: Path) -> None:
    defaults = next(one["default_for_task_types"] for one in SETTINGS if "default_for_task_types" in one)
    executors = {name: section for name, section in SECTIONS if name in {"qubole", "athena", "trino"}}

    registry = find_executors(
        EngineSettings(home=str(tmp_path), executors=executors, default_for_task_types=defaults), is_serving=False
    )
    registry.check_conflicts()

    assert {kind: registry.resolve(kind, has_container=False).id for kind in defaults} == defaults
