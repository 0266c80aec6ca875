"""
What a process gets and gives beside its command: secrets, and files of raw containers. Real processes.
"""

# ruff: noqa: ASYNC240

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.integration.process_tasks import HAS_SHARED_MEMORY, environment, shell

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import TaskStatus
from airscrew.idl.literals import from_json, literal_type_of, to_json
from airscrew.idl.phase import Phase
from airscrew.idl.template import DataConfig, SecretRef, TaskTemplate
from airscrew.plugins.process.state import ProcessState

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


VALUE = "hunter2-is-the-value"
SECRETS = {"grp/key": VALUE}
FILES = DataConfig(enabled=True, input_path="/var/inputs", output_path="/var/outputs")


def literals(**values: tuple[object, object]) -> Any:
    """Make a literal map of values with their types."""
    from flyteidl.core.literals_pb2 import LiteralMap

    made = LiteralMap()
    for name, (value, kind) in values.items():
        literal_type = kind if hasattr(kind, "WhichOneof") else literal_type_of(kind)
        made.literals[name].CopyFrom(from_json(value, literal_type, name))  # type: ignore[arg-type]
    return made


def file_type() -> Any:
    """Give the type of a file."""
    from flyteidl.core.types_pb2 import BlobType, LiteralType

    return LiteralType(blob=BlobType(format="txt"))


async def run(
    folder: Path,
    template: TaskTemplate,
    inputs: Any = None,
    *,
    secrets: Mapping[str, str] | None = None,
    **config: object,
) -> TaskStatus[ProcessState]:
    """Run a task to its end."""
    async with environment(folder, config=config, secrets=secrets) as opened:
        return await opened.attempt(template, inputs).run()


def log_of(status: TaskStatus[ProcessState]) -> str:
    return Path(status.state.log).read_text()


def everything_below(folder: Path) -> bytes:
    """Read all files."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_secret_is_a_variable_where_flytekit_looks_and_lies_on_no_disk(tmp_path: Path) -> None:
    same = f'test "$_FSEC_GRP_KEY" = {VALUE[:-1]}"e" && test "$MINE" = "$_FSEC_GRP_KEY" && echo same'
    script = same + '; tr "\\0" " " < /proc/$PPID/cmdline'
    template = shell(script, secrets=(SecretRef(group="grp", key="key", env_var="MINE"),))

    status = await run(tmp_path, template, secrets=SECRETS)

    assert log_of(status).startswith("same\n")
    assert VALUE.encode() not in everything_below(tmp_path).replace(VALUE[:-1].encode() + b'"e"', b"")


@pytest.mark.skipif(not HAS_SHARED_MEMORY, reason="there is no file system in memory")
async def test_a_secret_that_is_wanted_as_a_file_is_in_memory_for_its_user_until_the_end(tmp_path: Path) -> None:
    script = "stat -c %a $MINE $(dirname $MINE) $FLYTE_SECRETS_DEFAULT_DIR; wc -c < $MINE; echo $MINE"
    template = shell(script, secrets=(SecretRef(group="GRP", key="Key", mount_requirement="FILE", env_var="MINE"),))

    status = await run(tmp_path, template, secrets={"GRP/Key": VALUE})

    *modes, size, path = log_of(status).split()
    assert (modes, int(size)) == (["600", "700", "700"], len(VALUE))
    assert path == f"{status.state.secret_directory}/grp/key"
    assert not Path(status.state.secret_directory).exists()


async def test_a_secret_that_a_task_prints_is_not_shown_with_its_failure(tmp_path: Path) -> None:
    template = shell("echo got $_FSEC_GRP_KEY; exit 1", secrets=(SecretRef(group="grp", key="key"),))

    status = await run(tmp_path, template, secrets=SECRETS)

    assert status.error is not None
    assert status.error.message == "sh exited with code 1\ngot [secret]"


async def test_a_secret_that_is_not_there_fails_for_good(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="no secret"):
        await run(tmp_path, shell("true", secrets=(SecretRef(group="grp", key="other"),)), secrets=SECRETS)


async def test_without_memory_a_secret_is_no_file(tmp_path: Path) -> None:
    template = shell("true", secrets=(SecretRef(group="grp", key="key", mount_requirement="FILE"),))

    with pytest.raises(PermanentError, match=r"executors\.process\.secret_directory"):
        await run(tmp_path, template, secrets=SECRETS, secret_directory=str(tmp_path / "missing"))


async def test_a_raw_container_reads_and_writes_one_file_for_each_variable(tmp_path: Path) -> None:
    script = (
        "echo $(( $(cat /var/inputs/a) + {{.inputs.b}} )) > /var/outputs/total;"
        "cat /var/inputs/text /var/inputs/times/1 /var/inputs/flag > /var/outputs/text; cat /var/inputs/inputs.json"
    )
    outputs = {"total": int, "text": str}
    inputs = literals(a=(1, int), b=(2, int), text=("x y", str), times=([0.5, 1e20], list[float]), flag=(True, bool))

    status = await run(tmp_path, shell(script, outputs=outputs, data_config=FILES), inputs)

    assert status.phase is Phase.SUCCESS, status.error
    found = {name: to_json(literal) for name, literal in status.outputs.literals.items()}  # type: ignore[union-attr]
    assert found == {"total": 3, "text": "x y100000000000000000000true"}
    assert log_of(status) == '{"a": 1, "b": 2, "flag": true, "text": "x y", "times": [0.5, 1e+20]}'


async def test_files_of_a_raw_container_go_to_the_raw_outputs(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("twice\n")
    script = "cat /var/inputs/infile /var/inputs/infile > /var/outputs/outfile"
    inputs = literals(infile=((tmp_path / "in.txt").as_uri(), file_type()))

    status = await run(tmp_path, shell(script, outputs={"outfile": file_type()}, data_config=FILES), inputs)

    uri = status.outputs.literals["outfile"].scalar.blob.uri  # type: ignore[union-attr]
    assert uri.endswith("/raw/outfile")
    assert Path(uri.removeprefix("file://")).read_text() == "twice\ntwice\n"


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        ("true", "OutputsNotFound", "output 'total' was not written"),
        ("echo many > /var/outputs/total", "OutputsNotFound", "output total: expected int"),
        ("echo 1 > /var/outputs/total; echo no luck > /var/outputs/_ERROR", "TaskError", "sh wrote _ERROR: no luck"),
        ("echo 1 > /var/outputs/total; exit 5", "ExitCode:5", "sh exited with code 5"),
    ],
)
async def test_a_raw_container_that_gives_no_good_outputs_has_failed(
    tmp_path: Path, script: str, code: str, message: str
) -> None:
    status = await run(tmp_path, shell(script, outputs={"total": int}, data_config=FILES))

    assert status.phase is Phase.RETRYABLE_FAILURE
    assert status.error is not None
    assert (status.error.code, message in status.error.message) == (code, True), status.error.message


async def test_an_input_that_is_not_there_fails_for_good(tmp_path: Path) -> None:
    inputs = literals(infile=((tmp_path / "missing").as_uri(), file_type()))

    with pytest.raises(PermanentError, match="which is not there"):
        await run(tmp_path, shell("true", data_config=FILES), inputs)


async def test_a_raw_container_without_outputs_succeeds_with_none(tmp_path: Path) -> None:
    status = await run(tmp_path, shell("echo $AIRSCREW_OUTPUT_PATH", data_config=FILES))

    assert (status.phase, status.outputs) == (Phase.SUCCESS, None)
    assert log_of(status).strip() == status.state.place.outputs
