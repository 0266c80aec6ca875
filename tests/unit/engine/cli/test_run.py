"""``airscrew run`` of templates, its exit codes, and what bad input gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from flyteidl.core.literals_pb2 import LiteralMap
from tests.support.fake_engine import RUNNING, SUCCESS, SYSTEM_FAILURE, USER_FAILURE, FakeEngineApi
from tests.support.templates import write_template
from tests.unit.engine.cli.conftest import Opened, Result

from airscrew.engine.api.model import ApiError, OutputsView, SubmitRequest
from airscrew.engine.config import WorkKind
from airscrew.idl.errors import UsageError
from airscrew.idl.phase import LogLink, Phase, TaskInfo
from airscrew.state.errors import SchemaError, StoreFullError

Airscrew = Callable[..., Result]
OUTPUTS = OutputsView(values={"o0": 3, "o1": "märchen"}, types={"o0": "int", "o1": "str"})


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return write_template(tmp_path / "echo.pb", {"x": "int", "y": "str"})


@pytest.fixture
def succeeding(fake: FakeEngineApi) -> FakeEngineApi:
    fake.script = [RUNNING, SUCCESS]
    fake.results[""] = OUTPUTS
    return fake


def submitted(fake: FakeEngineApi) -> SubmitRequest:
    (request,) = fake.requests.values()
    return request


def inputs_of(request: SubmitRequest) -> dict[str, object]:
    literals = LiteralMap.FromString(request.inputs).literals
    values: dict[str, object] = {}
    for name, literal in literals.items():
        primitive = literal.scalar.primitive
        values[name] = getattr(primitive, primitive.WhichOneof("value"))
    return values


def test_a_success_prints_typed_outputs_and_ends_with_0(
    airscrew: Airscrew, succeeding: FakeEngineApi, template: Path
) -> None:
    result = airscrew("run", template, "--name", "a", "--input", "x=3", "--input", "y=z")

    assert result.code == 0
    assert result.out == 'o0: int = 3\no1: str = "märchen"\n'
    assert result.err == (
        "airscrew: default/a: Queued · accepted\nairscrew: default/a: Running · it runs\nairscrew: default/a: Success\n"
    )


def test_inputs_are_typed_by_the_interface(airscrew: Airscrew, succeeding: FakeEngineApi, template: Path) -> None:
    airscrew("run", template, "--input", "x=3", "--input", "y=4")

    assert inputs_of(submitted(succeeding)) == {"x": 3, "y": "4"}


@pytest.mark.parametrize(("name", "text"), [("i.json", '{"x": 3, "y": "4"}'), ("i.yaml", "x: 3\ny: '4'\n")])
def test_inputs_come_from_a_file_and_single_ones_over_them(
    airscrew: Airscrew, succeeding: FakeEngineApi, template: Path, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)

    airscrew("run", template, "--inputs", tmp_path / name, "--input", "x=5")

    assert inputs_of(submitted(succeeding)) == {"x": 5, "y": "4"}


def test_inputs_come_from_a_literal_map(
    airscrew: Airscrew, succeeding: FakeEngineApi, template: Path, tmp_path: Path
) -> None:
    airscrew("run", template, "--name", "first", "--input", "x=3", "--input", "y=4")
    (tmp_path / "i.pb").write_bytes(submitted(succeeding).inputs)

    airscrew("run", template, "--name", "second", "--inputs", tmp_path / "i.pb")

    assert succeeding.requests["default/second"].inputs == succeeding.requests["default/first"].inputs


def test_an_input_uri_is_passed_on(airscrew: Airscrew, succeeding: FakeEngineApi, template: Path) -> None:
    airscrew("run", template, "--inputs", "s3://bucket/inputs.pb")

    assert submitted(succeeding).input_uri == "s3://bucket/inputs.pb"


def test_options_reach_the_submission(airscrew: Airscrew, succeeding: FakeEngineApi, tmp_path: Path) -> None:
    bare = write_template(tmp_path / "bare.pb")

    airscrew(
        "run", "-n", "team", "-l", "a=1", "--label", "b=", bare, "--env", "K=V=W", "--executor", "echo",
        "--retries", "2", "--timeout", "90s", "--timeout", "attempt=1m", "--no-cache", "--output-prefix", "s3://b/o",
    )  # fmt: skip

    request = submitted(succeeding)
    assert (request.namespace, request.labels, request.environment) == ("team", {"a": "1", "b": ""}, {"K": "V=W"})
    assert (request.executor, request.max_attempts, request.cache_skip) == ("echo", 3, True)
    assert (request.timeouts, request.output_prefix) == ({"total": 90.0, "attempt": 60.0}, "s3://b/o")
    assert request.name.startswith("echo-")


def test_a_user_failure_ends_with_1_and_says_why(airscrew: Airscrew, fake: FakeEngineApi, tmp_path: Path) -> None:
    fake.script = [RUNNING, USER_FAILURE]

    result = airscrew("run", write_template(tmp_path / "t.pb"), "--name", "a")

    assert (result.code, result.out) == (1, "")
    assert result.err.endswith(
        "airscrew: default/a failed: PermanentFailure, user error USER:ValueError: ValueError: no such thing\n"
    )


def test_a_system_failure_ends_with_3(airscrew: Airscrew, fake: FakeEngineApi, tmp_path: Path) -> None:
    fake.script = [RUNNING, SYSTEM_FAILURE]

    assert airscrew("run", write_template(tmp_path / "t.pb")).code == 3


def test_an_execution_that_somebody_else_killed_ends_with_1(
    airscrew: Airscrew, fake: FakeEngineApi, tmp_path: Path
) -> None:
    fake.script = [{"phase": Phase.ABORTED, "reason": "by ann", "ended_at": 1.0}]

    result = airscrew("run", write_template(tmp_path / "t.pb"), "--name", "a")

    assert result.code == 1
    assert "default/a was ended: by ann\n" in result.err


def test_an_execution_that_is_quarantined_is_not_waited_for(
    airscrew: Airscrew, fake: FakeEngineApi, tmp_path: Path
) -> None:
    fake.script = [RUNNING, {"quarantined": "bad state"}]

    result = airscrew("run", write_template(tmp_path / "t.pb"), "--name", "a")

    assert (result.code, result.out) == (3, "")
    assert result.err.endswith(
        "airscrew: default/a is quarantined: bad state; airscrew retry goes on with it, kill ends it\n"
    )


def test_json_output_is_one_object_on_stdout(airscrew: Airscrew, succeeding: FakeEngineApi, tmp_path: Path) -> None:
    result = airscrew("run", "-o", "json", write_template(tmp_path / "t.pb"), "--name", "a")

    shown = json.loads(result.out)
    assert (shown["execution"], shown["phase"], shown["outputs"]) == ("default/a", "Success", OUTPUTS.values)
    assert shown["output_types"] == OUTPUTS.types


def test_a_failure_is_an_object_too(airscrew: Airscrew, fake: FakeEngineApi, tmp_path: Path) -> None:
    fake.script = [USER_FAILURE]

    result = airscrew("run", "-o", "json", write_template(tmp_path / "t.pb"))

    shown = json.loads(result.out)
    assert (result.code, shown["phase"], shown["error"]["kind"]) == (1, "PermanentFailure", "USER")


def test_the_log_is_shown_on_stderr_while_it_runs(
    airscrew: Airscrew, succeeding: FakeEngineApi, tmp_path: Path
) -> None:
    succeeding.log["default/a"] = bytearray(b"one\ntwo")

    result = airscrew("run", write_template(tmp_path / "t.pb"), "--name", "a")

    assert "one\n" in result.err
    assert "two\n" in result.err
    assert "one" not in result.out


def test_no_logs_means_none(airscrew: Airscrew, succeeding: FakeEngineApi, tmp_path: Path) -> None:
    airscrew("run", "--no-logs", write_template(tmp_path / "t.pb"))

    assert not [call for call in succeeding.calls if call[0] == "logs"]


def test_log_links_are_told_once(airscrew: Airscrew, fake: FakeEngineApi, tmp_path: Path) -> None:
    info = TaskInfo(logs=(LogLink(name="console", uri="http://logs/1"),))
    fake.script = [{**RUNNING, "info": info}, {**RUNNING, "info": info}, SUCCESS]

    result = airscrew("run", write_template(tmp_path / "t.pb"))

    assert result.err.count("console: http://logs/1") == 1


def test_an_engine_of_our_own_works_on_nothing_else(
    airscrew: Airscrew, succeeding: FakeEngineApi, opened: Opened, tmp_path: Path
) -> None:
    airscrew("run", write_template(tmp_path / "t.pb"))

    ((settings, work),) = opened.engines
    assert (work.kind, work.executions) == (WorkKind.NAMED, frozenset())
    assert (settings.home, settings.process_executor) == (str(tmp_path / "home"), True)


def test_resume_works_on_everything(
    airscrew: Airscrew, succeeding: FakeEngineApi, opened: Opened, tmp_path: Path
) -> None:
    airscrew("run", "--resume", write_template(tmp_path / "t.pb"))

    assert opened.engines[0][1].kind is WorkKind.ALL


async def seed(fake: FakeEngineApi, *names: str) -> None:
    for name in names:
        await fake.submit(SubmitRequest(name=name, template=b"t"))


def test_unfinished_others_are_counted_in_one_line(
    airscrew: Airscrew, succeeding: FakeEngineApi, tmp_path: Path
) -> None:
    import asyncio

    asyncio.run(seed(succeeding, "b", "c"))

    result = airscrew("run", write_template(tmp_path / "t.pb"))

    assert "airscrew: 2 unfinished left alone; airscrew run --resume goes on with them\n" in result.err


def test_resume_without_a_target_follows_all_and_ends_with_the_worst(airscrew: Airscrew, fake: FakeEngineApi) -> None:
    import asyncio

    fake.script = [RUNNING, SUCCESS]
    asyncio.run(seed(fake, "b"))
    fake.script = [RUNNING, USER_FAILURE]
    asyncio.run(seed(fake, "c"))

    result = airscrew("run", "--resume")

    assert result.code == 1
    assert "default/b: Success" in result.err
    assert "default/c: PermanentFailure" in result.err


def test_resume_with_nothing_unfinished_says_so(airscrew: Airscrew) -> None:
    result = airscrew("run", "--resume")

    assert (result.code, result.err) == (0, "airscrew: nothing is unfinished\n")


def usage_error(result: Result) -> str:
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("airscrew: error: ")
    assert result.err.count("\n") == 1
    return result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "serialized template"),
        (["none.pb"], "none.pb cannot be read: No such file"),
        (["TEMPLATE", "--input", "x"], "--input 'x' is not of the form KEY=VALUE"),
        (["TEMPLATE", "--input", "z=1"], "there is no input 'z'; the task takes x: int, y: str"),
        (["TEMPLATE", "--input", "x=a", "--input", "y=b"], "x"),
        (["TEMPLATE", "--input", "x=1"], "y is missing: expected str"),
        (["TEMPLATE", "--inputs", "none.json"], "none.json cannot be read"),
        (["TEMPLATE", "--timeout", "soon"], "--timeout 'soon' is no duration"),
        (["TEMPLATE", "--timeout", "later=3s"], "'later' is none of"),
        (["TEMPLATE", "--name", "No Name"], "'No Name' is not valid"),
        (["TEMPLATE", "--label", "x"], "--label 'x' is not of the form KEY=VALUE"),
        (["TEMPLATE", "--retries", "-1"], "--retries"),
        (["TEMPLATE", "--no-such-option"], "--no-such-option"),
        (["TEMPLATE", "--task", "other"], "holds no task 'other'"),
    ],
)
def test_bad_input_is_one_line_and_stores_nothing(
    airscrew: Airscrew,
    succeeding: FakeEngineApi,
    opened: Opened,
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    words = [str(template) if word == "TEMPLATE" else word for word in arguments]
    if template in map(Path, words) and "--input" not in words and "--inputs" not in words:
        words += ["--input", "x=1", "--input", "y=2"]
    result = airscrew("run", *words)

    assert said in usage_error(result)
    assert (opened.engines, succeeding.calls) == ([], [])
    assert not (tmp_path / "home").exists()


def test_bytes_that_are_no_template_are_a_usage_error(airscrew: Airscrew, tmp_path: Path) -> None:
    (tmp_path / "t.pb").write_bytes(b"\xff\xff\xff\xff")

    assert "t.pb is not a task template" in usage_error(airscrew("run", tmp_path / "t.pb"))


@pytest.mark.parametrize(
    "refusal",
    [
        ApiError("invalid", "no executor takes 'ecko'; did you mean 'echo'?"),
        ApiError("already_exists", "default/a exists with another request"),
        StoreFullError("no room"),
    ],
)
def test_what_the_engine_refuses_is_a_usage_error(
    airscrew: Airscrew, fake: FakeEngineApi, tmp_path: Path, refusal: Exception
) -> None:
    fake.refuse["submit"] = refusal

    assert str(refusal) in usage_error(airscrew("run", write_template(tmp_path / "t.pb")))


@pytest.mark.parametrize("error", [SchemaError("written by a newer airscrew"), UsageError("a network file system")])
def test_a_store_that_cannot_be_used_is_a_usage_error(
    airscrew: Airscrew, opened: Opened, tmp_path: Path, error: Exception
) -> None:
    opened.busy = [error]

    assert str(error) in usage_error(airscrew("run", write_template(tmp_path / "t.pb")))


def test_a_defect_is_one_line_and_ends_with_3(airscrew: Airscrew, fake: FakeEngineApi, tmp_path: Path) -> None:
    fake.refuse["submit"] = ZeroDivisionError("division by zero")

    result = airscrew("run", write_template(tmp_path / "t.pb"))

    assert (result.code, result.err.count("\n")) == (3, 1)
    assert "a defect of airscrew: ZeroDivisionError: division by zero" in result.err


def test_help_after_a_template_lists_its_inputs(airscrew: Airscrew, template: Path) -> None:
    result = airscrew("run", template, "--help")

    assert result.code == 0
    assert result.out == (
        f"Usage: airscrew run [OPTIONS] {template} [--input NAME=VALUE]...\n\ndemo.echo (echo)\n\n"
        "Inputs:\n  --input x=  int  required\n  --input y=  str  required\n\nOutputs:\n  o0  int\n  o1  str\n"
    )
