"""
flytekit's connectors that do all their work in one call: the webhook and ChatGPT.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.stock.conftest import Stock
from tests.stock.vendors.hook import Hook
from tests.stock.vendors.openai import OpenAi
from tests.support.literal_maps import literals, plain

from airscrew.engine.errors import RetryableError
from airscrew.engine.executor import TaskStatus
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.connector import ConnectorExecutor
from airscrew.plugins.connector.errors import FailedError

CALLS = "nothing is told apart: the connector says that the call failed, as the user's, whatever the reason"
RAISES = (
    "the connector raises at any failure: an unknown start, or with `create_errors: failed` a failure of the user's"
)

ONE_CALL = "there is no job: one call is made and answered within the start"

webhook = pytest.mark.reaches(
    "webhook",
    how="stock",
    by="flytekit",
    limits={
        "system failure": CALLS,
        "outage": "a 503 is a failure like any other, and uses up the attempt",
        "lost reply": "told as the user's failure, though the call was made; a retry calls again",
    },
)
chatgpt = pytest.mark.reaches(
    "chatgpt",
    how="stock",
    by="flytekitplugins-openai",
    checked="unchecked; made by OpenAI's own client",
    limits={
        "user failure": RAISES,
        "system failure": RAISES,
        "outage": RAISES,
        "garbage": RAISES,
        "lost reply": "OpenAI's client sends it again by itself: two completions of one attempt",
    },
)


@pytest.fixture
def hook(stock: Stock) -> Hook:
    found = stock.vendors["hook"]
    assert isinstance(found, Hook)
    return found


@pytest.fixture
def openai(stock: Stock) -> OpenAi:
    found = stock.vendors["openai"]
    assert isinstance(found, OpenAi)
    return found


async def call(stock: Stock, folder: Path, task: str, service: dict[str, object], **inputs: str) -> TaskStatus[Any]:
    """Run a task, and return how it ended; raises what the start raises."""
    environment: ExecutorEnvironment[Any] = ExecutorEnvironment(
        ConnectorExecutor,
        config={"services": {"calls": {**stock.service, "sync_timeout": 20.0, **service}}},
        state_directory=str(folder / "state"),
        root=(folder / "data").as_uri(),
    )
    given = literals(**{name: (value, str) for name, value in inputs.items()})
    async with environment:
        answer = await environment.attempt(stock.templates[task], given, name=f"task-{uuid4().hex}").start()
    assert isinstance(answer, TaskStatus)
    return answer


async def call_hook(stock: Stock, folder: Path, hook: Hook) -> TaskStatus[Any]:
    return await call(stock, folder, "webhook", {}, url=hook.url, text="hello")


def failure_of(status: TaskStatus[Any]) -> str:
    assert status.phase is Phase.PERMANENT_FAILURE
    assert status.error is not None
    assert status.error.kind is ErrorKind.USER
    return status.error.message


@webhook
@pytest.mark.shows("start", "succeed")
@pytest.mark.shows("poll", "kill", "restart", absent=ONE_CALL)
async def test_a_webhook_is_called_once_with_what_the_inputs_say(stock: Stock, hook: Hook, tmp_path: Path) -> None:
    status = await call_hook(stock, tmp_path, hook)

    assert status.phase is Phase.SUCCESS, status.reason
    assert hook.job.asked == {"text": "hello"}
    assert "thanks" in str(plain(status.outputs))
    assert hook.complaints == []


@webhook
@pytest.mark.shows("user failure")
async def test_a_webhook_that_refuses_is_a_failure_with_its_words(stock: Stock, hook: Hook, tmp_path: Path) -> None:
    hook.status = 400

    assert "status code 400" in failure_of(await call_hook(stock, tmp_path, hook))


@webhook
@pytest.mark.shows("system failure", "outage")
async def test_a_webhook_that_is_down_is_a_failure(stock: Stock, hook: Hook, tmp_path: Path) -> None:
    hook.down = True

    assert "status code 503" in failure_of(await call_hook(stock, tmp_path, hook))


@webhook
@pytest.mark.shows("lost reply")
async def test_a_webhook_whose_answer_is_lost_is_called_once(stock: Stock, hook: Hook, tmp_path: Path) -> None:
    hook.losing = 1

    assert "disconnected without sending a response" in failure_of(await call_hook(stock, tmp_path, hook))
    assert len(hook.jobs) == 1


@webhook
@pytest.mark.shows("garbage", limit="whatever a webhook says is the output of the task: nothing of it is expected")
async def test_what_a_webhook_says_is_the_output_whatever_it_is(stock: Stock, hook: Hook, tmp_path: Path) -> None:
    hook.is_mad = True

    status = await call_hook(stock, tmp_path, hook)

    assert status.phase is Phase.SUCCESS, status.reason
    assert "a proxy of ours" in str(plain(status.outputs))


async def ask(stock: Stock, folder: Path, **service: object) -> TaskStatus[Any]:
    return await call(stock, folder, "chatgpt", service, message="how are you?")


@chatgpt
@pytest.mark.shows("start", "succeed")
@pytest.mark.shows("poll", "kill", "restart", absent=ONE_CALL)
async def test_chatgpt_is_asked_once_and_its_answer_is_the_output(stock: Stock, openai: OpenAi, tmp_path: Path) -> None:
    status = await ask(stock, tmp_path)

    assert plain(status.outputs) == {"o0": "you said how are you?"}
    assert openai.job.asked["temperature"] == 0.7
    assert openai.complaints == []


@chatgpt
@pytest.mark.shows("user failure", "system failure")
@pytest.mark.parametrize("status", [400, 500])
async def test_what_chatgpt_cannot_do_is_told_as_the_configuration_has_it(
    stock: Stock, openai: OpenAi, tmp_path: Path, status: int
) -> None:
    openai.says = (status, "the model is out of words")

    with pytest.raises(FailedError, match=r"connector calls, ExecuteTaskSync: .*the model is out of words"):
        await ask(stock, tmp_path)
    with pytest.raises(RetryableError, match="the model is out of words") as caught:
        await ask(stock, tmp_path, create_errors="failed")

    assert caught.value.kind is ErrorKind.USER
    assert not openai.jobs


@chatgpt
@pytest.mark.shows("outage")
async def test_chatgpt_that_is_down_is_told(stock: Stock, openai: OpenAi, tmp_path: Path) -> None:
    openai.down = True

    with pytest.raises(FailedError, match="the service is down"):
        await ask(stock, tmp_path)


@chatgpt
@pytest.mark.shows("garbage")
async def test_chatgpt_that_answers_with_garbage_is_told(stock: Stock, openai: OpenAi, tmp_path: Path) -> None:
    openai.is_mad = True

    with pytest.raises(FailedError, match="connector calls, ExecuteTaskSync"):
        await ask(stock, tmp_path)


@chatgpt
@pytest.mark.shows("lost reply")
async def test_chatgpt_whose_answer_is_lost_is_asked_twice(stock: Stock, openai: OpenAi, tmp_path: Path) -> None:
    openai.losing = 1

    status = await ask(stock, tmp_path)

    assert status.phase is Phase.SUCCESS
    assert len(openai.jobs) == 2
