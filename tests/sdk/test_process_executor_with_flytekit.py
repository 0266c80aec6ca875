"""
The process executor runs the real commands of flytekit; nothing of the engine but the executor is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import harness
import pytest

from airscrew.engine.executor import OutputsAt, TaskStatus
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.phase import Phase
from airscrew.idl.template import TaskTemplate, decode_template
from airscrew.idl.wire import WireForm
from airscrew.plugins.process import ProcessExecutor
from airscrew.plugins.process.state import ProcessState

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


async def run(folder: Path, template: TaskTemplate, inputs: Any) -> TaskStatus[ProcessState]:
    config = {"python_path": [str(harness.ROOT)]}
    async with ExecutorEnvironment(ProcessExecutor, config=config, root=folder.as_uri()) as environment:
        return await environment.attempt(template, inputs).run(limit_seconds=60)


def written(status: TaskStatus[ProcessState], name: str) -> bytes:
    """Read what the process wrote below its output prefix."""
    assert isinstance(status.outputs, OutputsAt)
    return Path(status.outputs.prefix.removeprefix("file://"), name).read_bytes()


async def test_a_task_of_flytekit_runs_as_a_process(tmp_path: Path) -> None:
    from flyteidl.core import literals_pb2

    add_one = harness.load("flows.basic").add_one
    template = decode_template(harness.serialize(add_one), WireForm.FLYTE1)

    status = await run(tmp_path, template, harness.to_literals(add_one, {"x": 41}))

    assert status.phase is Phase.SUCCESS, status.error
    outputs = literals_pb2.LiteralMap.FromString(written(status, "outputs.pb"))
    assert harness.from_literals(add_one, outputs) == {"o0": 42}
    assert not Path(status.state.temporary).exists()  # noqa: ASYNC240


async def test_an_exit_of_flytekit_is_told_by_its_code(tmp_path: Path) -> None:
    exits = harness.load("flows.failing").exits
    template = decode_template(harness.serialize(exits), WireForm.FLYTE1)

    status = await run(tmp_path, template, harness.to_literals(exits, {"code": 7}))

    assert status.error is not None
    assert (status.phase, status.error.code) == (Phase.RETRYABLE_FAILURE, "ExitCode:7")


async def test_an_exception_of_flytekit_lies_where_the_engine_looks_for_it(tmp_path: Path) -> None:
    from flyteidl.core import errors_pb2

    raises = harness.load("flows.failing").raises
    template = decode_template(harness.serialize(raises), WireForm.FLYTE1)

    status = await run(tmp_path, template, harness.to_literals(raises, {"message": "no such luck"}))

    error = errors_pb2.ErrorDocument.FromString(written(status, "error.pb")).error
    assert "no such luck" in error.message


async def test_a_raw_container_of_flytekit_runs_without_a_container(tmp_path: Path) -> None:
    from airscrew.idl.literals import to_json

    add = harness.load("flows.containers").add_in_shell
    template = decode_template(harness.serialize(add), WireForm.FLYTE1)

    status = await run(tmp_path, template, harness.to_literals(add, {"a": 2, "b": 3}))

    assert status.phase is Phase.SUCCESS, status.error
    found = {name: to_json(value) for name, value in status.outputs.literals.items()}  # type: ignore[union-attr]
    assert found == {"total": 5, "text": "2 plus 3"}
