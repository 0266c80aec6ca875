from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from tests.support.literal_maps import literals, plain

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import TaskStatus
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.errors import UsageError
from airscrew.idl.phase import Phase
from airscrew.idl.template import make_template
from airscrew.plugins.echo import EchoExecutor, match_outputs

pytestmark = pytest.mark.virtual_time


async def echo(inputs: dict[str, Any], outputs: dict[str, Any], given: Any, **config: object) -> TaskStatus[Any]:
    async with ExecutorEnvironment(EchoExecutor, config=config) as environment:
        return await environment.attempt(make_template("echo", inputs=inputs, outputs=outputs), given).run()


async def test_the_only_output_is_the_only_input_whatever_their_names() -> None:
    status = await echo({"x": int}, {"o0": int}, literals(x=(7, int)))

    assert status.phase is Phase.SUCCESS
    assert plain(status.outputs) == {"o0": 7}


async def test_outputs_take_the_inputs_of_their_names() -> None:
    status = await echo({"a": int, "b": int}, {"b": int, "a": int}, literals(a=(1, int), b=(2, int)))

    assert plain(status.outputs) == {"a": 1, "b": 2}


async def test_outputs_without_a_namesake_take_the_only_input_of_their_type() -> None:
    status = await echo({"n": int, "t": str}, {"o0": str, "o1": int}, literals(n=(1, int), t=("hi", str)))

    assert plain(status.outputs) == {"o0": "hi", "o1": 1}


async def test_a_name_goes_before_a_type() -> None:
    status = await echo({"a": int, "b": int}, {"a": int, "o1": int}, literals(a=(1, int), b=(2, int)))

    assert plain(status.outputs) == {"a": 1, "o1": 2}


async def test_a_task_without_outputs_succeeds() -> None:
    status = await echo({"x": int}, {}, literals(x=(7, int)))

    assert status.phase is Phase.SUCCESS
    assert status.outputs is None


@pytest.mark.parametrize(
    ("inputs", "outputs", "said"),
    [
        ({"a": int, "b": int}, {"o0": int}, "inputs a, b could be it"),
        ({"a": int, "b": str}, {"o0": int, "o1": int}, "outputs o0, o1 have one type"),
        ({"a": int, "b": str}, {"o0": float}, "no input has its name or its type"),
        ({}, {"o0": float}, "no input has its name or its type"),
    ],
)
def test_what_is_not_clear_is_refused_and_the_refusal_says_why(inputs: Any, outputs: Any, said: str) -> None:
    declared = make_template("echo", inputs=inputs, outputs=outputs).interface

    with pytest.raises(PermanentError, match=said) as refusal:
        match_outputs(declared)

    assert refusal.value.code == "BadTaskSpecification"


async def test_an_input_that_is_not_there_is_a_refusal_that_names_it() -> None:
    with pytest.raises(PermanentError, match="no input 'x' for output 'o0'"):
        await echo({"x": int}, {"o0": int}, literals())


async def test_a_configured_sleep_is_slept_exactly() -> None:
    template = make_template("echo", inputs={"x": int}, outputs={"o0": int})

    async with ExecutorEnvironment(EchoExecutor, config={"sleep": 90}) as environment:
        begin = environment.clock.monotonic()
        attempt = environment.attempt(template, literals(x=(7, int)))
        status = await attempt.run()

        assert environment.clock.monotonic() - begin == pytest.approx(90)
    assert plain(status.outputs) == {"o0": 7}
    assert attempt.phases == [Phase.RUNNING, Phase.SUCCESS]


@pytest.mark.parametrize(
    ("config", "said"), [({"sleep": -1}, "sleep: is -1"), ({"slep": 1}, "slep"), ({"sleep": "x"}, "sleep")]
)
async def test_a_wrong_configuration_is_one_line_that_names_the_key(config: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said) as error:
        async with ExecutorEnvironment(EchoExecutor, config=config):
            pass

    assert str(error.value).startswith("executors.echo")
    assert "\n" not in str(error.value)


async def test_values_of_any_kind_come_through_as_they_were() -> None:
    given = literals(x=({"a": [1, 2]}, dict[str, list[int]]), d=(timedelta(hours=1), timedelta))

    status = await echo({"x": dict[str, list[int]], "d": timedelta}, {"x": dict[str, list[int]], "d": timedelta}, given)

    assert status.outputs == given


async def test_an_echo_costs_little() -> None:
    template = make_template("echo", inputs={"x": int}, outputs={"o0": int})
    async with ExecutorEnvironment(EchoExecutor) as environment:
        executor = environment.executor
        contexts = [environment.attempt(template, literals(x=(7, int)), name=f"t{n}").context() for n in range(200)]
        begin = time.process_time()
        for context in contexts:
            await executor.start_task(context, template)  # type: ignore[misc]
        spent = (time.process_time() - begin) / len(contexts)

    assert spent < 0.0004, f"{spent * 1e6:.0f} microseconds a task"
