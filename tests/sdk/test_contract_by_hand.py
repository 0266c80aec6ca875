"""
What the processes of both SDKs expect and leave behind, seen without an engine.

Each test runs one real process (two to four seconds) as ``by_hand`` renders it. A change of an SDK that would change
the engine's contract with it fails here, with nothing of ours in the way.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import by_hand
import harness
import pytest

TRACEBACK = "Traceback (most recent call last)"


def literals():
    from flyteidl.core import literals_pb2

    return literals_pb2.LiteralMap


def error_document():
    from flyteidl.core import errors_pb2

    return errors_pb2.ErrorDocument


def test_a_plain_task_leaves_its_outputs_and_exits_zero(tmp_path: Path) -> None:
    add_one = harness.load("flows.basic").add_one

    ended = by_hand.run_task(add_one, tmp_path, x=41)

    assert ended.code == 0, ended.log
    assert set(ended.files) == {"outputs.pb"}
    outputs = ended.read("outputs.pb", literals())
    assert harness.from_literals(add_one, outputs) == {"o0": harness.local_call(add_one, x=41)}
    assert outputs == harness.local_literals(add_one, x=41)
    assert ended.seconds < 30


def test_an_exception_is_an_error_document_and_the_exit_code_is_still_zero(tmp_path: Path) -> None:
    ended = by_hand.run_task(harness.load("flows.failing").raises, tmp_path, message="no such luck")

    assert ended.code == 0, ended.log
    assert set(ended.files) == {"error.pb"}
    error = ended.read("error.pb", error_document()).error
    assert (error.code, error.kind, error.origin) == ("USER:RuntimeError", error.NON_RECOVERABLE, 1)
    assert TRACEBACK in error.message
    assert "ValueError: no such luck" in error.message


@pytest.mark.parametrize(("attempt", "left"), [(0, {"error.pb"}), (1, {"outputs.pb"})])
def test_a_recoverable_error_says_so_until_the_attempt_number_is_high_enough(
    tmp_path: Path, attempt: int, left: set[str]
) -> None:
    ended = by_hand.run_task(harness.load("flows.failing").recovers, tmp_path, number=attempt, fails=1)

    assert ended.code == 0, ended.log
    assert set(ended.files) == left
    if attempt == 0:
        error = ended.read("error.pb", error_document()).error
        assert (error.code, error.kind) == ("USER:Recoverable", error.RECOVERABLE)


def test_a_second_attempt_reads_the_checkpoint_of_the_first(tmp_path: Path) -> None:
    resumes = harness.load("flows.failing").resumes
    first = by_hand.Attempt(folder=tmp_path / "0")

    failed = by_hand.run_task(resumes, tmp_path / "0", number=0, steps=10)
    ended = by_hand.run_task(resumes, tmp_path / "1", number=1, previous=first.checkpoint, steps=10)

    assert set(failed.files) == {"error.pb"}, failed.log
    assert harness.from_literals(resumes, ended.read("outputs.pb", literals())) == {"o0": 510}


def test_sys_exit_leaves_no_file_and_its_code(tmp_path: Path) -> None:
    ended = by_hand.run_task(harness.load("flows.failing").exits, tmp_path, code=7)

    assert (ended.code, ended.files) == (7, {})


def test_ignored_outputs_leave_no_file_and_exit_zero(tmp_path: Path) -> None:
    ended = by_hand.run_task(harness.load("flows.failing").ignores_outputs, tmp_path, x=1)

    assert (ended.code, ended.files) == (0, {})


def test_a_dynamic_task_leaves_a_job_specification(tmp_path: Path) -> None:
    from flyteidl.core import dynamic_job_pb2

    ended = by_hand.run_task(harness.load("flows.dynamics").sum_of_squares, tmp_path, n=3)

    assert set(ended.files) == {"futures.pb"}, ended.log
    job = ended.read("futures.pb", dynamic_job_pb2.DynamicJobSpec)
    assert [node.id for node in job.nodes] == ["dn0", "dn1", "dn2", "dn3"]
    assert job.min_successes == 4
    assert [task.id.name for task in job.tasks] == ["flows.dynamics.square", "flows.dynamics.total"]
    assert sorted(job.nodes[-1].upstream_node_ids) == ["dn0", "dn1", "dn2"]


def test_a_shim_task_reads_its_own_template(tmp_path: Path) -> None:
    times_seven = harness.load("flows.shim").times_seven

    ended = by_hand.run_task(times_seven, tmp_path, x=6)

    assert ended.code == 0, ended.log
    assert harness.from_literals(times_seven, ended.read("outputs.pb", literals())) == {"o0": 42}


def test_a_fast_registered_task_unpacks_its_code_into_an_empty_folder(tmp_path: Path) -> None:
    add_one = harness.load("flows.basic").add_one
    archive = harness.fast_package(tmp_path)
    elsewhere = {"PYTHONPATH": ""}

    template = harness.serialize(add_one, fast=archive, env=elsewhere)
    ended = by_hand.run(
        container_of(template),
        harness.to_literals(add_one, {"x": 1}).SerializeToString(),
        by_hand.Attempt(folder=tmp_path),
    )

    assert ended.code == 0, ended.log
    assert harness.from_literals(add_one, ended.read("outputs.pb", literals())) == {"o0": 2}
    assert (tmp_path / "work" / "flows" / "basic.py").exists()


def test_a_fast_template_without_a_location_keeps_two_variables_of_its_own() -> None:
    arguments = list(container_of(harness.serialize(harness.load("flows.basic").add_one, fast=True)).args)

    assert arguments[:6] == [
        "pyflyte-fast-execute",
        "--additional-distribution",
        "{{ .remote_package_path }}",
        "--dest-dir",
        "{{ .dest_dir }}",
        "--",
    ]


def test_a_notebook_task_is_found_in_the_pickle_of_the_working_folder(tmp_path: Path) -> None:
    from flyteidl.core import literals_pb2

    made = tmp_path / "made"
    made.mkdir()
    kernel = [sys.executable, str(harness.ROOT / "notebook_kernel.py"), str(made)]
    subprocess.run(kernel, check=True, cwd=made, timeout=60)
    container = container_of((made / "template.pb").read_bytes())
    inputs = literals_pb2.LiteralMap()
    inputs.literals["x"].scalar.primitive.integer = 5

    ended = by_hand.run(container, inputs.SerializeToString(), by_hand.Attempt(folder=tmp_path))

    assert container.args[-3:] == ["--", "entity-name", "from_notebook"]
    assert ended.code == 0, ended.log
    assert ended.read("outputs.pb", literals()).literals["o0"].scalar.primitive.integer == 1005


def test_a_class_stored_task_is_found_by_its_number(tmp_path: Path) -> None:
    times_three = harness.load("flows.resolvers").times_three

    ended = by_hand.run_task(times_three, tmp_path, x=4)

    assert ended.code == 0, ended.log
    assert harness.from_literals(times_three, ended.read("outputs.pb", literals())) == {"o0": 12}


def test_a_deck_is_written_beside_the_error(tmp_path: Path) -> None:
    ended = by_hand.run_task(harness.load("flows.extras").deck_and_failure, tmp_path, title="Sales")

    assert set(ended.files) == {"error.pb", "deck.html"}, ended.log
    assert b"<h1>Sales</h1>" in ended.files["deck.html"]


def test_a_raw_container_reads_and_writes_a_file_for_each_variable(tmp_path: Path) -> None:
    containers = harness.load("flows.containers")

    added = by_hand.run_container(containers.add_in_shell, tmp_path / "add", a="2", b="40")
    copied = by_hand.run_container(containers.copy_in_shell, tmp_path / "copy", infile="ab", times="3")
    failed = by_hand.run_container(containers.fails_in_container, tmp_path / "fail")

    assert added.files == {"total": b"42\n", "text": b"2 plus 40"}, added.log
    assert copied.files == {"outfile": b"ababab"}, copied.log
    assert (failed.code, failed.log) == (5, "on the way out\n")


def test_a_single_action_of_flyte_2_needs_no_server(tmp_path: Path) -> None:
    from flyteidl2.task import common_pb2

    add_one = harness.load("flows2.basic").add_one

    ended = by_hand.run_task2(add_one, tmp_path)

    assert ended.code == 0, ended.log
    assert set(ended.files) == {"outputs.pb"}
    assert harness.from_outputs2(add_one, ended.read("outputs.pb", common_pb2.Outputs)) == 42
    assert ended.seconds < 30


def test_an_exception_of_flyte_2_is_recoverable_and_named_by_its_class(tmp_path: Path) -> None:
    from flyteidl2.core import execution_pb2

    ended = by_hand.run_task2(harness.load("flows2.basic").raises, tmp_path, message="again")

    assert ended.code == 0, ended.log
    assert set(ended.files) == {"error.pb"}
    error = ended.read("error.pb", execution_pb2.ErrorDocument).error
    assert (error.code, error.kind, error.origin) == ("ValueError", error.RECOVERABLE, 1)
    assert "again" in error.message


def test_a_report_of_flyte_2_lies_beside_the_outputs(tmp_path: Path) -> None:
    ended = by_hand.run_task2(harness.load("flows2.basic").reports, tmp_path, title="Sales")

    assert set(ended.files) == {"outputs.pb", "report.html"}, ended.log
    assert b"<h1>Sales</h1>" in ended.files["report.html"]


def container_of(template: bytes):
    from flyteidl.core import tasks_pb2

    return tasks_pb2.TaskTemplate.FromString(template).container
