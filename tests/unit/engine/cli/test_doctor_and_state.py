"""``doctor`` and ``state`` over real files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.fake_engine import FakeEngineApi
from tests.unit.engine.cli.conftest import Result

from airscrew.engine.api.model import ExecutorView
from airscrew.state.lock import EngineLock
from airscrew.state.store import Put
from airscrew.state.urls import open_store

Airscrew = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a key in it."""

    async def write() -> None:
        async with open_store(f"sqlite:{tmp_path}/home/state.db") as opened:
            await opened.txn([], [Put("k", b"v")])

    (tmp_path / "home").mkdir(mode=0o700)
    asyncio.run(write())
    return tmp_path / "home" / "state.db"


def findings(airscrew: Airscrew, *words: object) -> tuple[int, dict[str, list[str]]]:
    result = airscrew("doctor", "-o", "json", *words)
    marks: dict[str, list[str]] = {}
    for finding in json.loads(result.out):
        marks.setdefault(finding["section"], []).append(finding["status"])
    return result.code, marks


def test_a_machine_in_order_ends_with_0(airscrew: Airscrew, fake: FakeEngineApi, store: Path) -> None:
    fake.executor_views = [ExecutorView(id="echo")]

    code, marks = findings(airscrew)

    assert code == 0
    assert set(marks) == {"versions", "home", "store", "executors", "SDKs", "secrets", "machine"}
    assert marks["store"] == marks["executors"] == ["ok"]


def test_an_executor_that_does_not_load_is_a_cross_with_a_hint(
    airscrew: Airscrew, fake: FakeEngineApi, store: Path
) -> None:
    fake.executor_views = [ExecutorView(id="spark", problem="ImportError: pyspark")]

    result = airscrew("doctor")

    assert result.code == 3
    assert "spark: broken: ImportError: pyspark\n      pip install what is missing" in result.out


def test_a_store_that_is_broken_is_a_cross(airscrew: Airscrew, fake: FakeEngineApi, store: Path) -> None:
    fake.executor_views = [ExecutorView(id="echo")]
    store.write_bytes(b"not a store, but long enough to be looked at" * 100)

    code, marks = findings(airscrew)

    assert (code, marks["store"]) == (3, ["fail"])


def test_a_holder_that_does_not_answer_is_a_cross(airscrew: Airscrew, fake: FakeEngineApi, store: Path) -> None:
    fake.executor_views = [ExecutorView(id="echo")]

    with EngineLock(store):
        code, marks = findings(airscrew)

    assert (code, marks["store"]) == (3, ["fail"])


def test_a_home_that_cannot_be_written_is_a_cross(airscrew: Airscrew, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    code, marks = findings(airscrew, "--home", tmp_path / "file" / "home")

    assert (code, marks["home"]) == (3, ["fail"])


def test_settings_that_cannot_be_read_are_a_cross(airscrew: Airscrew, tmp_path: Path) -> None:
    code, marks = findings(airscrew, "--config", tmp_path / "none.yaml")

    assert (code, marks["settings"]) == (3, ["fail"])


def test_state_goes_from_one_home_to_another(airscrew: Airscrew, store: Path, tmp_path: Path) -> None:
    exported = airscrew("state", "export", tmp_path / "dump")
    imported = airscrew("state", "import", tmp_path / "dump", "--home", tmp_path / "other")
    again = airscrew("state", "export", "-", "--home", tmp_path / "other")

    assert (exported.code, imported.code, again.code) == (0, 0, 0)
    assert '"key":"k"' in again.out
    assert exported.err == "airscrew: 1 keys exported\n"


def test_state_is_not_imported_over_other_state(airscrew: Airscrew, store: Path, tmp_path: Path) -> None:
    airscrew("state", "export", tmp_path / "dump")

    result = airscrew("state", "import", tmp_path / "dump")

    assert (result.code, result.err.count("\n")) == (2, 1)


def test_a_file_that_is_no_export_is_refused(airscrew: Airscrew, tmp_path: Path) -> None:
    (tmp_path / "dump").write_text("hello")

    assert airscrew("state", "import", tmp_path / "dump").code == 2


def test_state_status_tells_of_the_store(airscrew: Airscrew, store: Path) -> None:
    shown = json.loads(airscrew("state", "status", "-o", "json").out)

    assert (shown["revision"], shown["engine"]) == (1, "none")


def test_without_state_status_and_export_say_so(airscrew: Airscrew, tmp_path: Path) -> None:
    for words in (["status"], ["export", str(tmp_path / "dump")]):
        result = airscrew("state", *words)
        assert (result.code, "there is no state at" in result.err) == (2, True)
    assert not (tmp_path / "home").exists()
