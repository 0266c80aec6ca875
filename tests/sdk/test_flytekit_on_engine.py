"""Tasks written with the real flytekit, run by the engine, compared with what flytekit itself computes here."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import harness
import on_engine
import pytest


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Any]:
    async with on_engine.engine_in(tmp_path / "home") as opened:
        yield opened


async def check(api: Any, entity: Any, **values: Any) -> dict[str, Any]:
    """Run a task both ways, compare the literals up to where they lie, and give the engine's values."""
    ran = await on_engine.run_task(api, entity, **values)

    ours, theirs = on_engine.literals(ran), await asyncio.to_thread(harness.local_literals, entity, **values)
    assert harness.without_uris(ours) == harness.without_uris(theirs)
    return on_engine.values(entity, ran)


def text_of(file: Any) -> str:
    return Path(file).read_text()


def basic() -> Any:
    return harness.load("flows.basic")


# ---- values


async def test_a_plain_task_with_ints(api: Any) -> None:
    assert await check(api, basic().add_one, x=41) == {"o0": harness.local_call(basic().add_one, x=41)}


async def test_a_task_with_strings(api: Any) -> None:
    inputs = {"name": "Ada \u2603\n", "greeting": ""}

    assert await check(api, basic().greet, **inputs) == {"o0": harness.local_call(basic().greet, **inputs)}


async def test_a_task_with_several_named_outputs(api: Any) -> None:
    inputs = {"i": -3, "f": 2.5, "s": "a", "b": True}

    assert await check(api, basic().scalars, **inputs) == harness.local_call(basic().scalars, **inputs)._asdict()


async def test_a_task_without_inputs_and_outputs(api: Any) -> None:
    assert await check(api, basic().nothing) == {}


async def test_a_task_with_a_dataclass(api: Any) -> None:
    person = basic().Person(name="Ada", age=36, tags=["x"])

    assert await check(api, basic().birthday, person=person) == {
        "o0": harness.local_call(basic().birthday, person=person)
    }


async def test_a_task_with_a_list_and_a_dict(api: Any) -> None:
    assert await check(api, basic().count_words, words=["a", "b", "a"]) == {"o0": {"a": 2, "b": 1}}


async def test_a_task_with_an_enum(api: Any) -> None:
    colours = basic().Colour

    assert await check(api, basic().other_colour, colour=colours.RED) == {"o0": colours.BLUE}


async def test_a_task_with_a_datetime(api: Any) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

    assert await check(api, basic().later, at=at, by=timedelta(hours=1)) == {"o0": at + timedelta(hours=1)}


@pytest.mark.parametrize(("x", "expected"), [(None, "none"), (5, 5)])
async def test_a_task_with_optional_and_union(api: Any, x: int | None, expected: object) -> None:
    assert await check(api, basic().maybe, x=x) == {"o0": expected}


async def test_a_task_with_a_flyte_file(api: Any, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("from a file")

    written = await check(api, basic().write_file, text="to a file")
    read = await check(api, basic().read_file, file=str(tmp_path / "in.txt"))

    assert text_of(written["o0"]) == "to a file"
    assert read == {"o0": "from a file"}


async def test_a_task_with_a_flyte_directory(api: Any) -> None:
    ran = await on_engine.run_task(api, basic().write_directory, names=["a", "b"])
    folder = on_engine.values(basic().write_directory, ran)["o0"]

    assert await check(api, basic().list_directory, folder=folder) == {"o0": ["a", "b"]}


async def test_a_task_with_a_pandas_data_frame(api: Any) -> None:
    made = (await check(api, basic().make_frame, rows=4))["o0"]

    assert made.equals(harness.local_call(basic().make_frame, rows=4))
    assert await check(api, basic().sum_frame, frame=made) == {"o0": 14}


# ---- failures


async def test_a_task_that_raises_keeps_its_kind_and_its_traceback(api: Any) -> None:
    ran = await on_engine.run_task(api, harness.load("flows.failing").raises, message="no such luck")

    assert ran.phase == "PermanentFailure"
    assert ran.view.error.kind == "USER"
    assert ran.view.error.code == "USER:RuntimeError"
    assert "Traceback (most recent call last)" in ran.view.error.message
    assert "ValueError: no such luck" in ran.view.error.message


async def test_a_recoverable_exception_is_retried_until_the_task_succeeds(api: Any) -> None:
    recovers = harness.load("flows.failing").recovers

    ran = await on_engine.run_task(api, recovers, fails=2)

    assert on_engine.values(recovers, ran) == {"o0": 2}
    assert [attempt.error.code for attempt in ran.view.attempts if attempt.error] == ["USER:Recoverable"] * 2


async def test_a_recoverable_exception_fails_when_the_retries_are_used_up(api: Any) -> None:
    ran = await on_engine.run_task(api, harness.load("flows.failing").recovers, fails=9)

    assert ran.view.phase.is_failure
    assert ran.view.attempt == 3
    assert "attempt 3 failed" in ran.view.error.message


async def test_the_second_attempt_reads_the_checkpoint_of_the_first(api: Any) -> None:
    resumes = harness.load("flows.failing").resumes

    ran = await on_engine.run_task(api, resumes, steps=10)

    assert on_engine.values(resumes, ran) == {"o0": 510}
    assert ran.view.attempt == 1


async def test_ignored_outputs_are_outputs_not_found(api: Any) -> None:
    ran = await on_engine.run_task(api, harness.load("flows.failing").ignores_outputs, x=1)

    assert ran.view.phase.is_failure
    assert "OutputsNotFound" in ran.view.error.code


async def test_sys_exit_is_a_failure_that_names_the_exit_code(api: Any) -> None:
    ran = await on_engine.run_task(api, harness.load("flows.failing").exits, code=7)

    assert ran.view.phase.is_failure
    assert "7" in ran.view.error.message


async def test_a_task_that_times_out_is_ended(api: Any) -> None:
    ran = await on_engine.run_task(api, harness.load("flows.failing").times_out, seconds=60)

    assert ran.view.phase.is_failure
    assert "timeout" in (ran.view.error.code + ran.view.error.message).lower().replace(" ", "").replace(
        "timedout", "timeout"
    )
    assert ran.view.ledger == []


# ---- what else a task can do


async def test_a_deck_is_found(api: Any) -> None:
    ran = await on_engine.run_task(api, harness.load("flows.extras").with_deck, title="Sales")

    assert ran.phase == "Success", ran.why
    assert "<h1>Sales</h1>" in ran.deck


async def test_a_deck_of_a_failed_task_is_found(api: Any) -> None:
    ran = await on_engine.run_task(api, harness.load("flows.extras").deck_and_failure, title="Sales")

    assert ran.phase == "PermanentFailure"
    assert "<h1>Sales</h1>" in ran.deck


async def test_two_equal_cached_tasks_at_once_run_once(api: Any, tmp_path: Path) -> None:
    cached_square = harness.load("flows.extras").cached_square
    ledger = tmp_path / "ledger"
    inputs = {"x": 7, "ledger": str(ledger), "seconds": 1.0}

    async with asyncio.TaskGroup() as group:
        both = [group.create_task(on_engine.run_task(api, cached_square, **inputs)) for _ in range(2)]
    ran = [task.result() for task in both]

    assert [on_engine.values(cached_square, one) for one in ran] == [{"o0": 49}, {"o0": 49}]
    assert ledger.read_text() == "7\n"
    waited, *others = sorted(ran, key=lambda one: one.view.cache_status)
    assert waited.view.cache_status == "hit"
    assert {other.view.cache_status for other in others} <= {"miss", "populated"}
    assert [view.reason for view in waited.views if view.phase.title == "WaitingForCache"]


async def test_a_task_gets_its_secret_and_nothing_else_keeps_it(
    api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = "a-value-to-look-for-everywhere"
    monkeypatch.setenv("_FSEC_VAULT_TOKEN", value)
    with_secret = harness.load("flows.extras").with_secret

    ran = await on_engine.run_task(api, with_secret)

    assert on_engine.values(with_secret, ran) == {"o0": len(value)}
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if value.encode() in path.read_bytes()]


async def test_a_task_gets_the_environment_of_its_template(api: Any) -> None:
    assert await check_values(api, harness.load("flows.extras").with_environment) == {"o0": "hello"}


async def check_values(api: Any, entity: Any, **values: Any) -> dict[str, Any]:
    return on_engine.values(entity, await on_engine.run_task(api, entity, **values))


async def test_a_task_is_told_what_it_belongs_to(api: Any) -> None:
    told = (await check_values(api, harness.load("flows.extras").execution_environment))["o0"]

    assert told["FLYTE_ATTEMPT_NUMBER"] == "0"
    assert told["FLYTE_INTERNAL_TASK_NAME"] == "flows.extras.execution_environment"
    assert told["FLYTE_INTERNAL_TASK_VERSION"] == harness.VERSION
    assert told["FLYTE_INTERNAL_EXECUTION_ID"]


async def test_echo(api: Any) -> None:
    assert await check(api, harness.load("flows.extras").echo_number, x=3) == {"o0": 3}


# ---- other kinds of tasks


async def test_a_shell_task(api: Any, tmp_path: Path) -> None:
    count_lines = harness.load("flows.containers").count_lines
    (tmp_path / "in.txt").write_text("a\nb\n")

    found = await check_values(api, count_lines, file=str(tmp_path / "in.txt"))

    assert text_of(found["lines"]).strip() == "2"


async def test_a_shell_task_that_fails(api: Any) -> None:
    ran = await on_engine.run_task(api, harness.load("flows.containers").fails_in_shell)

    assert ran.view.phase.is_failure
    assert "return-code 3" in ran.view.error.message


async def test_a_raw_container_task(api: Any) -> None:
    add_in_shell = harness.load("flows.containers").add_in_shell

    assert await check_values(api, add_in_shell, a=2, b=40) == {"total": 42, "text": "2 plus 40"}


async def test_a_raw_container_task_with_files(api: Any, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("ab")

    found = await check_values(
        api, harness.load("flows.containers").copy_in_shell, infile=str(tmp_path / "in.txt"), times=3
    )

    assert text_of(found["outfile"]) == "ababab"


async def test_a_raw_container_task_that_fails(api: Any) -> None:
    ran = await on_engine.run_task(api, harness.load("flows.containers").fails_in_container)

    assert ran.view.phase.is_failure
    assert "5" in ran.view.error.message


async def test_a_customized_container_task_with_its_shim_executor(api: Any) -> None:
    assert await check(api, harness.load("flows.shim").times_seven, x=6) == {"o0": 42}


async def test_a_function_task_registered_with_task_plugins(api: Any) -> None:
    assert await check(api, harness.load("flows.plugin").shout, text="hey") == {"o0": "HEY!!!"}


# ---- resolvers


async def test_the_default_resolver(api: Any) -> None:
    assert await check(api, harness.load("flows.resolvers").by_default, x=1) == {"o0": 11}


async def test_the_class_storage_resolver(api: Any) -> None:
    assert await check(api, harness.load("flows.resolvers").times_three, x=4) == {"o0": 12}


async def test_the_notebook_resolver(api: Any, tmp_path: Path) -> None:
    from flyteidl.core import literals_pb2

    kernel = [sys.executable, str(harness.ROOT / "notebook_kernel.py"), str(tmp_path)]
    await asyncio.to_thread(subprocess.run, kernel, check=True, cwd=tmp_path, timeout=60)
    inputs = literals_pb2.LiteralMap()
    inputs.literals["x"].scalar.primitive.integer = 5

    template = (tmp_path / "template.pb").read_bytes()
    ran = await on_engine.run(api, template, inputs.SerializeToString(), environment={})

    assert on_engine.literals(ran).literals["o0"].scalar.primitive.integer == 1005


async def test_the_template_resolver(api: Any) -> None:
    ran = await on_engine.run_task(api, harness.load("flows.shim").refuses, x=1)

    assert ran.view.phase.is_failure
    assert ran.view.error.kind == "SYSTEM"
    assert "a shim's user error" in ran.view.error.message


async def test_fast_registration(api: Any, tmp_path: Path) -> None:
    add_one = basic().add_one
    template = harness.serialize(add_one, fast=harness.fast_package(tmp_path))

    ran = await on_engine.run(api, template, harness.to_literals(add_one, {"x": 1}).SerializeToString(), environment={})

    assert on_engine.values(add_one, ran) == {"o0": 2}


# ---- dynamic


async def test_a_dynamic_task_runs_its_children_and_binds_their_outputs(api: Any) -> None:
    assert await check_values(api, harness.load("flows.dynamics").sum_of_squares, n=3) == {"o0": 5}


async def test_a_dynamic_task_gathers_a_list(api: Any) -> None:
    assert await check_values(api, harness.load("flows.dynamics").squares, n=3) == {"o0": [0, 1, 4]}


async def test_a_dynamic_task_without_children_gives_its_own_outputs(api: Any) -> None:
    assert await check_values(api, harness.load("flows.dynamics").constant, n=3) == {"o0": 3}


async def test_a_dynamic_task_fails_with_its_child(api: Any) -> None:
    ran = await on_engine.run_task(api, harness.load("flows.dynamics").one_child_fails, n=4)

    assert ran.view.phase.is_failure
    assert "child 4" in ran.view.error.message
