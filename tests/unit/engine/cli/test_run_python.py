"""The words after ``FILE.py TASK``: which are the task's and which are ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.support.fake_engine import SUCCESS, FakeEngineApi
from tests.support.templates import echo_template
from tests.unit.engine.cli.conftest import Result

from airscrew.engine.api.model import SubmitRequest
from airscrew.engine.cli.inputs import task_values
from airscrew.engine.sdk import child
from airscrew.engine.sdk.model import Request, SerializedTask, Variable
from airscrew.idl.errors import UsageError

Airscrew = Callable[..., Result]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, fake: FakeEngineApi) -> list[Request]:
    """What the serializing child was asked; it stands in for an SDK, whose import takes a second."""
    requests: list[Request] = []

    async def serialize(request: Request, *, timeout: float = 0.0) -> SerializedTask:
        requests.append(request)
        return SerializedTask(
            template=echo_template({"x": "int"}).SerializeToString(),
            wire="flyte1",
            name="flows.greet",
            task_type="echo",
            inputs=(Variable(name="x", type="int"), Variable(name="name", type="str", required=False, default="'bob'")),
            outputs=(Variable(name="o0", type="int"),),
            literals=b"literals",
            environment={"PYTHONPATH": "/src"},
        )

    monkeypatch.setattr(child, "serialize", serialize)
    fake.script = [SUCCESS]
    return requests


def submitted(fake: FakeEngineApi) -> SubmitRequest:
    (request,) = fake.requests.values()
    return request


def test_options_after_the_task_are_its_inputs(airscrew: Airscrew, asked: list[Request], fake: FakeEngineApi) -> None:
    result = airscrew("run", "--name", "ours", "f.py", "greet", "--x", "3")

    assert result.code == 0
    assert asked == [Request(path="f.py", task="greet", inputs={"x": "3"})]
    assert (submitted(fake).name, submitted(fake).inputs) == ("ours", b"literals")
    assert submitted(fake).environment == {"PYTHONPATH": "/src"}


def test_an_input_with_the_name_of_an_option_is_the_tasks(
    airscrew: Airscrew, asked: list[Request], fake: FakeEngineApi
) -> None:
    airscrew("run", "f.py", "greet", "--name", "ann", "--x", "3", "--retries", "2", "-o", "json")

    assert asked[-1].inputs == {"name": "ann", "x": "3"}
    assert submitted(fake).max_attempts == 3
    assert submitted(fake).name.startswith("greet-")


def test_the_interface_is_asked_for_only_when_in_doubt(airscrew: Airscrew, asked: list[Request]) -> None:
    airscrew("run", "f.py", "greet", "--x", "3")
    airscrew("run", "f.py", "greet", "--x", "3", "--no-logs")

    assert [request.inputs for request in asked] == [{"x": "3"}, None, {"x": "3"}]


def test_values_come_from_a_file_below_those_of_the_line(
    airscrew: Airscrew, asked: list[Request], tmp_path: Path
) -> None:
    (tmp_path / "i.yaml").write_text("x: 1\nys: [1, 2]\n")

    airscrew("run", "--inputs", tmp_path / "i.yaml", "f.py", "greet", "--x", "3")

    assert asked[-1].inputs == {"x": "3", "ys": [1, 2]}


def test_help_after_the_task_lists_its_inputs(airscrew: Airscrew, asked: list[Request]) -> None:
    result = airscrew("run", "f.py", "greet", "--help")

    assert result.code == 0
    assert result.out == (
        "Usage: airscrew run [OPTIONS] f.py greet [INPUTS]\n\nflows.greet (echo)\n\n"
        "Inputs:\n  --x     int  required\n  --name  str  default 'bob'\n\nOutputs:\n  o0  int\n"
    )


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["--x", "3", "--y=4"], {"x": "3", "y": "4"}),
        (["--x", "-3"], {"x": "-3"}),
        (["--x=--y"], {"x": "--y"}),
        (["--flag"], {"flag": "true"}),
        (["--no-flag", "--x", "1"], {"flag": "false", "x": "1"}),
        (["--two-words", "a b"], {"two_words": "a b"}),
        (["--x", ""], {"x": ""}),
    ],
)
def test_words_become_values(words: list[str], values: Mapping[str, object]) -> None:
    assert task_values(words) == values


@pytest.mark.parametrize("words", [["3"], ["-x", "3"], ["--x", "3", "4"], ["--"]])
def test_words_that_are_no_options_are_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match="is no option of the task"):
        task_values(words)
