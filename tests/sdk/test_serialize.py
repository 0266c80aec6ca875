"""From a source file and what a person types to a template that runs, by way of the serializing child."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import by_hand
import harness
import pytest

from airscrew.engine.sdk import child
from airscrew.engine.sdk.model import Request, SerializedTask
from airscrew.idl.errors import UsageError

FLOWS = harness.ROOT / "flows"
FLOWS2 = harness.ROOT / "flows2"


def template_of(task: SerializedTask):
    from flyteidl.core import tasks_pb2

    return tasks_pb2.TaskTemplate.FromString(task.template)


def literals_of(task: SerializedTask):
    from flyteidl.core import literals_pb2

    return literals_pb2.LiteralMap.FromString(task.literals).literals


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


async def test_the_tasks_of_a_flytekit_file_are_listed_in_order() -> None:
    tasks = await child.list_tasks(str(FLOWS / "extras.py"))

    assert [task.variable for task in tasks][:3] == ["with_deck", "deck_and_failure", "cached_square"]
    assert tasks[-1].task_type == "echo"


async def test_the_tasks_of_a_flyte_2_file_are_listed() -> None:
    tasks = await child.list_tasks(str(FLOWS2 / "basic.py"))

    assert (tasks[0].variable, tasks[0].name, tasks[0].task_type) == ("add_one", "basic.add_one", "python")


async def test_a_template_is_what_flytekit_itself_writes() -> None:
    request = Request(path=str(FLOWS / "basic.py"), task="add_one", version=harness.VERSION, image=harness.IMAGE)

    task = await child.serialize(request)

    assert task.wire == "flyte1"
    assert task.template == harness.serialize(harness.load("flows.basic").add_one)
    assert task.pythonpath == (str(harness.ROOT),)


FLOW = """
from flytekit import task
from helper_of_mine import WORD

@task
def greet(n: int, end: str = "!") -> str:
    return WORD * n + end
"""


async def test_a_serialized_task_runs_with_what_its_answer_holds(tmp_path: Path) -> None:
    from flyteidl.core import literals_pb2

    write(tmp_path / "helper_of_mine.py", "WORD = 'hey'")
    path = write(tmp_path / "mine.py", FLOW)

    task = await child.serialize(Request(path=path, task="greet", inputs={"n": "2"}))
    attempt = by_hand.Attempt(folder=tmp_path)
    ended = by_hand.run(template_of(task).container, task.literals, attempt, env=task.environment)

    assert ended.code == 0, ended.log
    assert ended.read("outputs.pb", literals_pb2.LiteralMap).literals["o0"].scalar.primitive.string_value == "heyhey!"


async def test_a_flyte_2_task_runs_with_what_its_answer_holds(tmp_path: Path) -> None:
    from flyteidl2.task import common_pb2, task_definition_pb2

    inputs = {"point": {"x": 1, "y": 2}, "side": "LEFT"}

    task = await child.serialize(Request(path=str(FLOWS2 / "basic.py"), task="mirror", inputs=inputs))
    container = task_definition_pb2.TaskSpec.FromString(task.template).task_template.container
    ended = by_hand.run(container, task.literals, by_hand.Attempt(folder=tmp_path), env=task.environment)

    assert task.wire == "flyte2"
    assert ended.code == 0, ended.log
    flows = harness.load("flows2.basic")
    outputs = ended.read("outputs.pb", common_pb2.Outputs)
    assert harness.from_outputs2(flows.mirror, outputs) == flows.mirror(flows.Point(1, 2), flows.Side.LEFT)


async def test_a_bundled_task_needs_no_import_path(tmp_path: Path) -> None:
    request = Request(path=str(FLOWS / "basic.py"), task="add_one", inputs={"x": 1}, bundle_folder=str(tmp_path))

    task = await child.serialize(request)

    command, option, archive, *destination = template_of(task).container.args[:5]
    assert [command, option, *destination] == ["pyflyte-fast-execute", "--additional-distribution", "--dest-dir", "."]
    assert Path(archive).parent == tmp_path
    assert tarfile.is_tarfile(archive)
    assert (task.pythonpath, task.environment) == ((), {})


async def test_the_interface_is_told_as_its_author_wrote_it() -> None:
    task = await child.serialize(Request(path=str(FLOWS / "basic.py"), task="greet"))

    assert [(variable.name, variable.type, variable.required, variable.default) for variable in task.inputs] == [
        ("name", "str", True, ""),
        ("greeting", "str", False, "'hello'"),
    ]
    assert [(variable.name, variable.type) for variable in task.outputs] == [("o0", "str")]
    assert set(literals_of(task)) == {"greeting"}


@pytest.mark.parametrize(
    ("task", "typed"),
    [
        ("scalars", {"i": "1", "f": "2.5", "s": "a b", "b": "true"}),
        ("birthday", {"person": '{"name": "Ada", "age": 36, "tags": ["x"]}'}),
        ("birthday", {"person": {"name": "Ada", "age": 36, "tags": ["x"]}}),
        ("count_words", {"words": '["a", "b"]'}),
        ("other_colour", {"colour": "blue"}),
        ("later", {"at": "2026-01-02T03:04:05", "by": "1h"}),
        ("maybe", {"x": None}),
        ("maybe", {"x": "5"}),
    ],
)
async def test_what_is_typed_becomes_a_literal_of_the_declared_type(task: str, typed: dict[str, object]) -> None:
    entity = getattr(harness.load("flows.basic"), task)

    serialized = await child.serialize(Request(path=str(FLOWS / "basic.py"), task=task, inputs=typed))

    from flytekit.core.context_manager import FlyteContextManager
    from flytekit.core.type_engine import TypeEngine
    from flytekit.models.literals import LiteralMap

    model = LiteralMap.from_flyte_idl(literals_map(serialized))
    native = TypeEngine.literal_map_to_kwargs(
        FlyteContextManager.current_context(), model, entity.python_interface.inputs
    )
    assert native == expected()[task, json.dumps(typed)]


def literals_map(task: SerializedTask):
    from flyteidl.core import literals_pb2

    return literals_pb2.LiteralMap.FromString(task.literals)


def expected() -> dict[tuple[str, str], dict[str, object]]:
    from datetime import UTC, datetime, timedelta

    flows = harness.load("flows.basic")
    ada = flows.Person(name="Ada", age=36, tags=["x"])
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return {
        ("scalars", '{"i": "1", "f": "2.5", "s": "a b", "b": "true"}'): {"i": 1, "f": 2.5, "s": "a b", "b": True},
        ("birthday", json.dumps({"person": '{"name": "Ada", "age": 36, "tags": ["x"]}'})): {"person": ada},
        ("birthday", json.dumps({"person": {"name": "Ada", "age": 36, "tags": ["x"]}})): {"person": ada},
        ("count_words", json.dumps({"words": '["a", "b"]'})): {"words": ["a", "b"]},
        ("other_colour", '{"colour": "blue"}'): {"colour": flows.Colour.BLUE},
        ("later", '{"at": "2026-01-02T03:04:05", "by": "1h"}'): {"at": at, "by": timedelta(hours=1)},
        ("maybe", '{"x": null}'): {"x": None},
        ("maybe", '{"x": "5"}'): {"x": 5},
    }


async def test_a_file_input_is_named_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.txt", "hello")
    write(tmp_path / "in.parquet", "")

    file = await child.serialize(Request(path=str(FLOWS / "basic.py"), task="read_file", inputs={"file": "in.txt"}))
    frame = await child.serialize(
        Request(path=str(FLOWS / "basic.py"), task="sum_frame", inputs={"frame": "in.parquet"})
    )

    assert literals_of(file)["file"].scalar.blob.uri == str(tmp_path / "in.txt")
    assert literals_of(frame)["frame"].scalar.structured_dataset.uri == str(tmp_path / "in.parquet")


@pytest.mark.parametrize(
    ("task", "typed", "says"),
    [
        ("add_one", {"x": "three"}, "input 'x' should be int, not 'three': 'three' is not a valid integer."),
        ("add_one", {}, "input 'x' (int) is missing: add --x VALUE"),
        ("add_one", {"x": "1", "y": "2"}, "there is no input 'y'; the task takes x: int"),
        ("greet", {"name": 3}, "input 'name' should be str, not 3"),
        ("birthday", {"person": '{"name": "Ada"}'}, "input 'person' should be Person, not"),
        ("other_colour", {"colour": "green"}, "'green' is not one of 'red', 'blue'."),
        ("read_file", {"file": "no-such-file"}, "input 'file' should be FlyteFile, not 'no-such-file'"),
        ("sum_frame", {"frame": "no-such-file"}, "input 'frame' should be DataFrame, not 'no-such-file'"),
        ("count_words", {"words": ["a", 3]}, "input 'words' should be list[str], not ['a', 3]"),
    ],
)
async def test_a_wrong_input_is_refused_in_one_line(task: str, typed: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        await child.serialize(Request(path=str(FLOWS / "basic.py"), task=task, inputs=typed))

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_wrong_input_of_flyte_2_is_refused_in_one_line() -> None:
    request = Request(path=str(FLOWS2 / "basic.py"), task="greet", inputs={"name": "a", "words": ["b", 3]})

    with pytest.raises(UsageError, match=r"input 'words' should be list\[str\], not \['b', 3\]"):
        await child.serialize(request)


WORKFLOW = """
from flytekit import reference_task, task, workflow

@task
def one() -> int:
    return 1

@workflow
def wf() -> int:
    return one()

@reference_task(project="p", domain="d", name="n", version="v")
def elsewhere() -> int:
    ...
"""


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("wf", "'wf' is a workflow, and airscrew runs single tasks; its tasks: one"),
        ("elsewhere", "'elsewhere' is a reference to an entity that is registered elsewhere; its tasks: one"),
        ("two", "no task 'two'; its tasks: one"),
    ],
)
async def test_what_is_no_task_is_told_with_the_tasks_there_are(tmp_path: Path, wanted: str, says: str) -> None:
    path = write(tmp_path / "with_workflow.py", WORKFLOW)

    with pytest.raises(UsageError) as caught:
        await child.serialize(Request(path=path, task=wanted))

    assert says in str(caught.value)


async def test_a_file_without_an_sdk_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="imports neither flytekit nor flyte"):
        await child.list_tasks(write(tmp_path / "plain.py", "x = 1"))


async def test_what_a_module_prints_does_not_spoil_the_answer(tmp_path: Path) -> None:
    noisy = "import os\nfrom flytekit import task\nprint('noise')\nos.system('echo more noise')\n"
    path = write(tmp_path / "noisy.py", noisy + "\n\n@task\ndef one() -> int:\n    return 1\n")

    assert [task.variable for task in await child.list_tasks(path)] == ["one"]


async def test_a_module_that_ends_the_process_is_an_error_of_the_child(tmp_path: Path) -> None:
    path = write(tmp_path / "ends.py", "import os, sys\nprint('last words', flush=True)\nos._exit(9)\n")

    with pytest.raises(child.SerializationError, match=r"(?s)ended with code 9.*last words"):
        await child.list_tasks(path)


def test_the_child_leaves_nothing_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    asyncio.run(child.serialize(Request(path=str(FLOWS / "basic.py"), task="add_one", inputs={"x": "1"})))

    assert list(tmp_path.iterdir()) == []


async def test_a_module_that_never_ends_is_stopped(tmp_path: Path) -> None:
    path = write(tmp_path / "endless.py", "import time\nwhile True:\n    time.sleep(1)\n")

    with pytest.raises(UsageError, match=r"still being imported after 0\.5 s"):
        await child.list_tasks(path, timeout=0.5)


def test_the_child_is_a_program_that_people_can_run_too() -> None:
    command = [sys.executable, "-m", "airscrew.engine.sdk.serialize", str(FLOWS / "basic.py"), "add_one", "x=3"]

    good = subprocess.run(command, capture_output=True, check=False)
    bad = subprocess.run([*command, "y"], capture_output=True, check=False)

    assert good.returncode == 0
    assert json.loads(good.stdout)["task"]["name"] == "flows.basic.add_one"
    assert bad.returncode == 2
    assert "'y' is no NAME=VALUE" in json.loads(bad.stdout)["error"]


def test_the_engines_side_imports_no_sdk() -> None:
    program = "import sys, airscrew.engine.sdk.child; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)

    assert not {"flytekit", "flyte", "flyteidl", "flyteidl2", "google.protobuf"} & set(done.stdout.split())
