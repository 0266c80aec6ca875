from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.literal_maps import literals
from typing_extensions import override

from airscrew.engine.data.errors import StorageUnavailableError
from airscrew.engine.errors import PermanentError, RetryableError
from airscrew.engine.executor import AtMostOnce, Idempotent, NoEffect, NotStarted, OutputsAt, TaskStatus
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.idl.template import make_template
from airscrew.plugins.webapi import (
    RefusedError,
    SecretRef,
    SyncCall,
    SyncExecutor,
    ThrottledError,
    UnclearError,
)
from airscrew.plugins.webapi.sync import DeadlineError, sync_result

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

TEMPLATE = make_template("shout", inputs={"text": str}, outputs={"o0": str})
SECRET = "s3cr3t-v4lue"


class Shout(SyncExecutor):
    """Answers in capitals; ``failure`` is raised instead, ``until`` is waited for before."""

    id = "shout"
    task_types = ("shout",)
    secrets = {"token": SecretRef("token")}  # noqa: RUF012 - never changed
    pool_size = 2
    failure: Exception | None = None
    until: threading.Event | None = None

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[SyncCall] = []
        self.threads: list[str] = []

    @override
    def do(self, call: SyncCall) -> LiteralMap | None:
        self.calls.append(call)
        self.threads.append(threading.current_thread().name)
        if self.until is not None:
            self.until.wait(10)
        if self.failure is not None:
            raise self.failure
        return literals(o0=(call.inputs.literals["text"].scalar.primitive.string_value.upper(), str))


class Patient(Shout):
    """The same, as a coroutine."""

    id = "patient"

    @override
    async def do(self, call: SyncCall) -> LiteralMap | None:  # type: ignore[override]
        self.calls.append(call)
        await asyncio.Event().wait()
        return None


def environment(executor: Shout) -> ExecutorEnvironment[Any]:
    return ExecutorEnvironment(lambda: executor, secrets={"token": SECRET})


async def start(executor: Shout) -> TaskStatus[Any] | NotStarted:
    async with environment(executor) as host:
        return await host.attempt(TEMPLATE, literals(text=("hi", str))).start()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what happens in a thread sets no event
            await asyncio.sleep(0.001)


@contextmanager
def hanging(executor: Shout) -> Iterator[None]:
    executor.until = threading.Event()
    try:
        yield
    finally:
        executor.until.set()


def declared(start_declaration: object, failure: Exception | None = None) -> Shout:
    executor = Shout()
    vars(executor)["start_declaration"] = start_declaration
    executor.failure = failure
    return executor


async def test_a_call_is_made_once_in_a_thread_and_its_outputs_are_written() -> None:
    executor = Shout()
    async with environment(executor) as host:
        attempt = host.attempt(TEMPLATE, literals(text=("hi", str)))

        status = await attempt.run()

    written = attempt.data.files[f"{attempt.data.locations.output_prefix}/outputs.pb"]
    assert status.outputs == OutputsAt(attempt.data.locations.output_prefix)
    assert literals(o0=("HI", str)).FromString(written) == literals(o0=("HI", str))
    assert executor.threads == ["shout"]
    assert [call.key for call in executor.calls] == [attempt.key]


async def test_secrets_come_along_and_are_not_shown() -> None:
    executor = Shout()
    await start(executor)

    assert executor.calls[0].secrets == {"token": SECRET}
    assert SECRET not in repr(executor.calls[0])


async def test_a_secret_in_an_error_is_taken_out() -> None:
    with pytest.raises(PermanentError) as refusal:
        await start(declared(NoEffect(), PermanentError(f"bad token {SECRET}")))

    assert str(refusal.value) == "bad token ***"


async def test_the_loop_goes_on_while_a_call_blocks() -> None:
    executor = Shout()
    with hanging(executor):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(start(executor))
            await until(lambda: bool(executor.calls))
            assert executor.until is not None
            assert not task.done()
            executor.until.set()

    result = task.result()
    assert isinstance(result, TaskStatus)
    assert result.phase is Phase.SUCCESS


async def test_a_call_that_ignores_its_deadline_is_left_behind_and_keeps_its_thread_from_others() -> None:
    executor = Shout()
    vars(executor)["deadline"] = 0.05
    with hanging(executor):
        for _ in range(executor.pool_size):
            with pytest.raises(RetryableError, match=r"within 0\.05 s") as failure:
                await start(executor)
        full = await start(executor)
        assert executor.until is not None
        executor.until.set()
        await until(lambda: not executor._threads.busy)
        free = await start(executor)

    assert (failure.value.code, failure.value.kind) == ("CallDeadlineExceeded", ErrorKind.SYSTEM)
    assert isinstance(full, NotStarted)
    assert "all 2 threads of shout are in calls" in full.reason
    assert isinstance(free, TaskStatus)


async def test_a_coroutine_is_cancelled_at_the_deadline() -> None:
    executor = Patient()
    vars(executor)["deadline"] = 0.05

    with pytest.raises(RetryableError):
        await start(executor)
    await until(lambda: not executor._threads.busy)

    assert len(executor.calls) == 1


async def test_the_engine_waits_longer_than_the_call_and_for_no_more_calls_than_there_are_threads() -> None:
    assert Shout.start_timeout > Shout.deadline
    assert Shout.concurrency == Shout.pool_size


@pytest.mark.parametrize("failure", [ConnectionRefusedError("down"), UnclearError("500"), ThrottledError("slow", 3)])
async def test_a_provider_that_is_away_costs_no_attempt(failure: Exception) -> None:
    answer = await start(declared(NoEffect(), failure))

    assert isinstance(answer, NotStarted)
    assert str(failure) in answer.reason


@pytest.mark.virtual_time
async def test_an_outage_holds_calls_back_but_for_a_probe_at_the_end_of_each_pause() -> None:
    executor = declared(NoEffect(), ConnectionResetError("connection reset"))
    async with environment(executor) as host:
        for _ in range(3):
            await host.attempt(TEMPLATE, literals(text=("hi", str))).start()

        held = await host.attempt(TEMPLATE, literals(text=("hi", str))).start()
        assert isinstance(held, NotStarted)
        assert held.reason.startswith("shout is not to be reached since ")
        assert held.delay is not None
        assert len(executor.calls) == 3

        executor.failure = None
        await elapse(held.delay)
        probe = await host.attempt(TEMPLATE, literals(text=("hi", str))).start()
        assert isinstance(probe, TaskStatus)
        assert probe.phase is Phase.SUCCESS
        assert isinstance(await host.attempt(TEMPLATE, literals(text=("hi", str))).start(), TaskStatus)


async def test_an_answer_of_any_kind_says_that_the_provider_is_there() -> None:
    executor = declared(NoEffect(), RefusedError("no such model"))
    async with environment(executor) as host:
        for _ in range(5):
            with pytest.raises(PermanentError, match="no such model"):
                await host.attempt(TEMPLATE, literals(text=("hi", str))).start()

    assert len(executor.calls) == 5


async def test_a_lost_call_that_may_have_done_something_is_unknown() -> None:
    with pytest.raises(UnclearError, match="500"):
        await start(declared(Idempotent(), UnclearError("500")))
    with pytest.raises(UnclearError, match="on the wire"):
        await start(declared(AtMostOnce(), UnclearError("500")))


@pytest.mark.parametrize(
    ("error", "kind", "code", "whose"),
    [
        (DeadlineError("late"), RetryableError, "CallDeadlineExceeded", ErrorKind.SYSTEM),
        (KeyError("x"), RetryableError, "KeyError", ErrorKind.USER),
        (PermanentError("no", code="Own"), PermanentError, "Own", ErrorKind.USER),
    ],
)
def test_an_error_of_a_call_without_effect_ends_the_attempt_on_somebodys_account(
    error: Exception, kind: type[Exception], code: str, whose: ErrorKind
) -> None:
    result = sync_result("x", error, has_effect=False)

    assert isinstance(result, PermanentError | RetryableError)
    assert type(result) is kind
    assert (result.code, result.kind) == (code, whose)


@pytest.mark.parametrize("error", [TimeoutError("no answer"), UnclearError("500"), StorageUnavailableError("s3")])
def test_what_may_pass_is_asked_again(error: Exception) -> None:
    assert isinstance(sync_result("x", error, has_effect=False), NotStarted)


@pytest.mark.parametrize("error", [TimeoutError("no answer"), KeyError("x"), DeadlineError("late"), RefusedError("x")])
def test_nothing_is_guessed_of_a_call_with_an_effect(error: Exception) -> None:
    assert sync_result("x", error, has_effect=True) is error
