from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.support.literal_maps import literals
from typing_extensions import override

from airscrew.engine.errors import PermanentError, RetryableError
from airscrew.engine.executor import (
    AtMostOnce,
    Executor,
    NoEffect,
    NotStarted,
    Setup,
    StartDeclaration,
    TaskContext,
    TaskStatus,
)
from airscrew.engine.testing.attempt import StartOutcomeUnknownError
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.errors import ConformanceError
from airscrew.idl.phase import Phase
from airscrew.idl.template import TaskTemplate, make_template

pytestmark = pytest.mark.virtual_time

TEMPLATE = make_template("script", inputs={"x": int})


class Count(msgspec.Struct, frozen=True):
    n: int = 0
    note: str = ""


Answer = Callable[[TaskContext[Count], Count], Any]


class Script(Executor[Count]):
    """Answers as the test says: one answer for starts, one for checks."""

    id = "script"
    task_types = ("script",)
    state_type = Count
    start_declaration = NoEffect()

    def __init__(self, start: Answer, check: Answer, declared: StartDeclaration = NoEffect()) -> None:  # noqa: B008
        vars(self)["start_declaration"] = declared
        self.start, self.check = start, check
        self.events: list[str] = []

    @override
    def initialize(self, setup: Setup) -> None:
        self.events.append("initialize")
        self.setup = setup

    @override
    async def start_task(self, context: TaskContext[Count], template: TaskTemplate) -> Any:
        self.events.append("start")
        return self.start(context, Count())

    @override
    async def check_task_status(self, context: TaskContext[Count], state: Count) -> Any:
        self.events.append("check")
        return self.check(context, state)

    @override
    async def finalize(self, context: TaskContext[Count], state: Count) -> None:
        self.events.append("finalize")

    @override
    def close(self) -> None:
        self.events.append("close")


def running(context: TaskContext[Count], state: Count) -> TaskStatus[Count]:
    return TaskStatus.running(Count(state.n + 1))


def done(context: TaskContext[Count], state: Count) -> TaskStatus[Count]:
    return TaskStatus.success(state)


async def test_a_task_is_started_checked_and_finalized() -> None:
    script = Script(running, done)

    async with ExecutorEnvironment(lambda: script) as environment:
        await environment.attempt(TEMPLATE).run()

    assert script.events == ["initialize", "start", "check", "finalize", "close"]


async def test_each_check_is_given_the_state_that_the_last_one_gave() -> None:
    script = Script(running, lambda _, state: done(_, state) if state.n == 5 else running(_, state))

    async with ExecutorEnvironment(lambda: script) as environment:
        attempt = environment.attempt(TEMPLATE)
        await attempt.run()

    assert attempt.state == Count(5)
    assert attempt.raw_state == b'{"n":5,"note":""}'


async def test_a_check_comes_when_its_status_says_so_else_after_the_interval() -> None:
    at: list[float] = []

    def look(context: TaskContext[Count], state: Count) -> TaskStatus[Count]:
        at.append(context.clock.monotonic())
        return done(context, state) if len(at) == 3 else running(context, state).after(3.5)

    async with ExecutorEnvironment(lambda: Script(running, look)) as environment:
        await environment.attempt(TEMPLATE).run()

    assert at == [10.0, 13.5, 17.0]


@pytest.mark.parametrize("by", ["context", "setup"])
async def test_what_is_woken_is_checked_at_once(by: str) -> None:
    script = Script(running, done)
    async with ExecutorEnvironment(lambda: script) as environment:
        attempt = environment.attempt(TEMPLATE)
        await attempt.start()

        wake = attempt.context().wake if by == "context" else lambda: script.setup.wake(attempt.key)
        wake()
        await attempt.run()

        assert environment.clock.monotonic() == pytest.approx(0)


async def test_what_is_not_started_is_started_again_after_the_delay() -> None:
    tries: list[float] = []

    def start(context: TaskContext[Count], state: Count) -> Any:
        tries.append(context.clock.monotonic())
        return NotStarted("full", 30) if len(tries) == 1 else running(context, state)

    async with ExecutorEnvironment(lambda: Script(start, done)) as environment:
        await environment.attempt(TEMPLATE).run()

    assert tries == [0.0, 30.0]


def raises(error: Exception) -> Answer:
    def answer(context: TaskContext[Count], state: Count) -> Any:
        raise error

    return answer


@pytest.mark.parametrize("error", [PermanentError("never"), RetryableError("later")])
async def test_a_refused_start_is_given_to_the_test(error: Exception) -> None:
    async with ExecutorEnvironment(lambda: Script(raises(error), done)) as environment:
        with pytest.raises(type(error)):
            await environment.attempt(TEMPLATE).run()


async def test_a_lost_start_of_what_is_asked_at_most_once_stays_unknown() -> None:
    script = Script(raises(OSError("broken")), done, AtMostOnce())
    async with ExecutorEnvironment(lambda: script) as environment:
        with pytest.raises(StartOutcomeUnknownError):
            await environment.attempt(TEMPLATE).run()

    assert script.events.count("start") == 1


async def test_a_check_that_raises_ends_nothing() -> None:
    looks: list[int] = []

    def look(context: TaskContext[Count], state: Count) -> TaskStatus[Count]:
        looks.append(1)
        if len(looks) < 3:
            raise OSError("broken")
        return done(context, state)

    async with ExecutorEnvironment(lambda: Script(running, look)) as environment:
        attempt = environment.attempt(TEMPLATE)
        status = await attempt.run()

    assert status.phase is Phase.SUCCESS
    assert [str(error) for error in attempt.errors] == ["broken", "broken"]


async def test_a_restart_makes_a_new_executor_and_closes_the_old_one() -> None:
    made: list[Script] = []

    def make() -> Script:
        made.append(Script(running, done))
        return made[-1]

    async with ExecutorEnvironment(make) as environment:
        attempt = environment.attempt(TEMPLATE)
        await attempt.start()
        await environment.restart()
        await attempt.check()

    assert [script.events for script in made] == [["initialize", "start", "close"], ["initialize", "check", "close"]]


async def test_a_task_that_never_ends_is_a_defect_and_not_a_hang() -> None:
    async with ExecutorEnvironment(lambda: Script(running, running)) as environment:
        with pytest.raises(ConformanceError, match="still Running after 600 s"):
            await environment.attempt(TEMPLATE).run(limit_seconds=600)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda *_: TaskStatus(phase=Phase.ABORTED, state=Count()), "may not report Aborted"),
        (lambda *_: TaskStatus(phase=Phase.PERMANENT_FAILURE, state=Count()), "without an error"),
        (lambda *_: TaskStatus.initializing(Count()), "Initializing may not follow Running"),
        (lambda *_: TaskStatus.running({"n": 1}), "the state is a dict"),
        (lambda *_: TaskStatus.running(Count(note="x" * 50_000)), "takes 50"),
        (lambda *_: TaskStatus.running(Count(note="s3cr3t")), "secret"),
        (lambda *_: TaskStatus.running(Count(), "the token is s3cr3t"), "secret"),
    ],
)
async def test_an_answer_against_the_contract_is_an_error(answer: Answer, said: str) -> None:
    async with ExecutorEnvironment(lambda: Script(running, answer), secrets={"token": "s3cr3t"}) as environment:
        attempt = environment.attempt(TEMPLATE)
        await attempt.start()

        with pytest.raises(ConformanceError, match=said):
            await attempt.check()


async def test_a_plain_method_is_called_in_a_thread() -> None:
    import threading

    threads: list[str] = []

    class Plain(Script):
        def start_task(self, context: TaskContext[Count], template: TaskTemplate) -> Any:  # type: ignore[override]
            threads.append(threading.current_thread().name)
            return TaskStatus.success(Count())

    async with ExecutorEnvironment(lambda: Plain(running, done)) as environment:
        await environment.attempt(TEMPLATE).run()

    assert threads != [threading.main_thread().name]


async def test_the_context_reads_inputs_secrets_and_renders_templates() -> None:
    async with ExecutorEnvironment(lambda: Script(running, done), secrets={"g/k": "v"}) as environment:
        context = environment.attempt(TEMPLATE, literals(x=(7, int))).context()

        assert (await context.inputs()).literals["x"].scalar.primitive.integer == 7
        assert await context.render(["{{.inputs.x}} {{.Namespace}}"]) == ["7 test"]
        assert await context.secret("k", "g") == "v"
        with pytest.raises(PermanentError, match="k2"):
            await context.secret("k2")


async def test_the_same_name_and_number_always_give_the_same_key() -> None:
    async with ExecutorEnvironment(lambda: Script(running, done)) as environment:
        keys = [
            environment.attempt(TEMPLATE, name=name, number=number).key
            for name, number in [("a", 0), ("a", 0), ("a", 1), ("b", 0)]
        ]

    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


async def test_files_below_a_file_root_are_real(tmp_path: Any) -> None:
    async with ExecutorEnvironment(lambda: Script(running, done), root=tmp_path.as_uri()) as environment:
        attempt = environment.attempt(TEMPLATE, literals(x=(7, int)))

        await attempt.context().place_inputs()

        assert (tmp_path / "task" / "inputs" / "inputs.pb").exists()
        assert (tmp_path / "task" / "0" / "work").is_dir()
