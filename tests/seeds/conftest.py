"""The documents that the engine was wished from: their blocks are importable, and the engine runs what they define."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
BLOCKS = HERE / "blocks"

sys.path[:0] = [str(BLOCKS), str(HERE.parent / "sdk")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::FutureWarning"))


AirscrewRun = Callable[..., bytes]


@pytest.fixture
def airscrew_run(tmp_path: Path) -> AirscrewRun:
    """
    Run a template on the engine and give its outputs.

    ``airscrew_run(template, inputs, *, wire="flyte1", executor="", environment={}) -> bytes``: template and inputs in
    the bytes of their wire form, outputs as a ``core.LiteralMap`` (flyte1) or ``task.Outputs`` (flyte2); an execution
    that does not succeed fails the test with its error. ``environment`` is for the task's process.
    """
    import on_engine

    async def run(template: bytes, inputs: bytes, **options: Any) -> bytes:
        async with on_engine.engine_in(tmp_path / "home") as api:
            ran = await on_engine.run(api, template, inputs, **options)
        assert ran.phase == "Success", ran.why
        return ran.outputs

    return lambda *given, **options: asyncio.run(run(*given, **options))


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have the SDKs leave their folders where pytest clears up: each import of flytekit leaves one."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("sdk")
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("TMPDIR", str(folder))
        yield
