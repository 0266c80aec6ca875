from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.support.literal_maps import literals

from airscrew.engine.clock import LoopClock
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Gone
from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.phase import Phase
from airscrew.idl.template import make_template
from airscrew.plugins.sleep import SleepExecutor

pytestmark = pytest.mark.virtual_time

HOUR = 3600.0


@pytest.fixture
async def environment() -> AsyncIterator[ExecutorEnvironment[Any]]:
    async with ExecutorEnvironment[Any](SleepExecutor) as opened:
        yield opened


def sleep(environment: ExecutorEnvironment[Any], seconds: float) -> Attempt[Any]:
    template = make_template("core-sleep", inputs={"duration": timedelta})
    return environment.attempt(template, literals(duration=(timedelta(seconds=seconds), timedelta)))


def clock(environment: ExecutorEnvironment[Any]) -> LoopClock:
    assert isinstance(environment.clock, LoopClock)
    return environment.clock


async def test_a_sleep_takes_exactly_its_length(environment: ExecutorEnvironment[Any]) -> None:
    begin = environment.clock.monotonic()

    attempt = sleep(environment, 90.5)
    await attempt.run()

    assert environment.clock.monotonic() - begin == pytest.approx(90.5)
    assert attempt.phases == [Phase.RUNNING, Phase.SUCCESS]


async def test_the_next_check_is_due_exactly_at_the_end(environment: ExecutorEnvironment[Any]) -> None:
    attempt = sleep(environment, 60)
    await attempt.start()
    await attempt.pause(22)

    status = await attempt.check()  # type: ignore[misc]

    assert status.check_after == pytest.approx(38)


async def test_a_sleep_of_no_length_is_over_in_its_start(environment: ExecutorEnvironment[Any]) -> None:
    attempt = sleep(environment, 0)

    await attempt.start()

    assert attempt.phase is Phase.SUCCESS


async def test_a_restart_does_not_begin_the_sleep_anew(environment: ExecutorEnvironment[Any]) -> None:
    begin = environment.clock.monotonic()
    attempt = sleep(environment, HOUR)
    await attempt.start()
    await attempt.pause(HOUR / 2)

    await environment.restart()
    await attempt.run()

    assert environment.clock.monotonic() - begin == pytest.approx(HOUR)


async def test_a_step_of_the_wall_clock_changes_nothing_within_a_life(environment: ExecutorEnvironment[Any]) -> None:
    begin = environment.clock.monotonic()
    attempt = sleep(environment, HOUR)
    await attempt.start()

    clock(environment).wall_offset = -24 * HOUR
    await attempt.pause(60)
    await attempt.check()
    clock(environment).wall_offset = 24 * HOUR
    await attempt.run()

    assert environment.clock.monotonic() - begin == pytest.approx(HOUR)


async def test_a_wall_clock_stepped_back_over_a_restart_adds_no_more_than_the_length(
    environment: ExecutorEnvironment[Any],
) -> None:
    attempt = sleep(environment, HOUR)
    await attempt.start()
    await attempt.pause(HOUR / 2)

    clock(environment).wall_offset = -24 * HOUR
    await environment.restart()
    begin = environment.clock.monotonic()
    await attempt.check()
    await attempt.run()

    assert environment.clock.monotonic() - begin <= HOUR


async def test_the_state_says_when_the_sleep_ends(environment: ExecutorEnvironment[Any]) -> None:
    attempt = sleep(environment, 60)

    await attempt.start()

    assert attempt.raw_state is not None
    assert msgspec.json.decode(attempt.raw_state) == {"ends_at": environment.clock.now() + 60, "seconds": 60.0}


async def test_a_killed_sleep_is_gone_at_once(environment: ExecutorEnvironment[Any]) -> None:
    attempt = sleep(environment, HOUR)
    await attempt.start()

    assert isinstance(await attempt.kill(), Gone)


@pytest.mark.parametrize(
    ("inputs", "outputs", "given", "said"),
    [
        ({}, {}, {}, "declares 0"),
        ({"a": timedelta, "b": timedelta}, {}, {}, "declares 2"),
        ({"a": int}, {}, {"a": (5, int)}, "input 'a' is none"),
        ({"a": timedelta}, {}, {}, "input 'a' is none"),
        ({"a": timedelta}, {"o0": int}, {"a": (timedelta(5), timedelta)}, "has no outputs"),
        ({"a": timedelta}, {}, {"a": (timedelta(seconds=-5), timedelta)}, "cannot wait for -5 s"),
    ],
)
async def test_bad_input_is_the_users_and_final(
    environment: ExecutorEnvironment[Any], inputs: Any, outputs: Any, given: Any, said: str
) -> None:
    template = make_template("core-sleep", inputs=inputs, outputs=outputs)

    with pytest.raises(PermanentError, match=said) as refusal:
        await environment.attempt(template, literals(**given)).start()

    assert (refusal.value.code, refusal.value.kind.value) == ("BadTaskSpecification", "USER")
