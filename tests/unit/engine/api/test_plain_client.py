"""The client for programs without an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from tests.support.fake_engine import RUNNING, SUCCESS, FakeEngineApi
from tests.support.templates import echo_template, write_template

from airscrew.engine.api.adapter import ServerInfo
from airscrew.engine.api.address import TcpAddress, socket_beside
from airscrew.engine.api.model import ApiError, ListRequest, LoadReply, OutputsView, SubmitRequest
from airscrew.engine.api.server import serving
from airscrew.engine.client import Client
from airscrew.idl.errors import UsageError
from airscrew.idl.phase import Phase

T = TypeVar("T")
INFO = ServerInfo(version="1", pid=2, started_at=3.0)


@pytest.fixture(params=["unix", "port"])
async def use(request: pytest.FixtureRequest, fake: FakeEngineApi, tmp_path: Path) -> AsyncIterator[Callable]:
    """Run a function with a client, on a thread, while the loop serves."""
    is_unix = request.param == "unix"
    address = socket_beside(tmp_path / "state.db") if is_unix else TcpAddress("127.0.0.1", 0)
    async with serving(fake, address, INFO, token_file=tmp_path / "token") as bound:

        async def run(work: Callable[[Client], T]) -> T:
            def connected() -> T:
                with Client.connect("" if is_unix else str(bound), home=tmp_path) as client:
                    return work(client)

            return await asyncio.to_thread(connected)

        yield run


async def test_a_task_is_submitted_awaited_and_read(use: Callable, fake: FakeEngineApi, tmp_path: Path) -> None:
    fake.script = [RUNNING, SUCCESS]
    fake.results[""] = OutputsView(values={"o0": 3}, types={"o0": "int"})
    file = write_template(tmp_path / "t.pb", {"x": "int"})

    def work(client: Client) -> tuple[str, Phase, object]:
        name = client.submit(file, {"x": 3}, name="a", labels={"k": "v"})
        return name, client.wait("a").phase, client.outputs(name)

    assert await use(work) == ("default/a", Phase.SUCCESS, {"o0": 3})
    assert fake.requests["default/a"].labels == {"k": "v"}


async def test_an_execution_that_is_not_over_in_time_is_a_timeout(use: Callable, fake: FakeEngineApi) -> None:
    await fake.submit(SubmitRequest(name="a", template=b"t"))

    with pytest.raises(TimeoutError):
        await use(lambda client: client.wait("a", timeout_seconds=0.05))


async def test_all_pages_are_listed(use: Callable, fake: FakeEngineApi) -> None:
    for name in ("a", "b", "c"):
        await fake.submit(SubmitRequest(name=name, template=b"t"))

    views = await use(lambda client: [view.execution for view in client.list(ListRequest(limit=2))])

    assert views == ["default/a", "default/b", "default/c"]


async def test_a_refusal_has_its_code(use: Callable) -> None:
    with pytest.raises(ApiError) as caught:
        await use(lambda client: client.get("none"))

    assert caught.value.code == "not_found"


async def test_the_rest_of_the_service_is_there(use: Callable, fake: FakeEngineApi) -> None:
    await fake.submit(SubmitRequest(name="a", template=b"t"))
    await fake.write_log("default/a", b"hello")

    def work(client: Client) -> list[object]:
        client.kill("a", force=True)
        log = b"".join(chunk.data for chunk in client.logs("a"))
        return [
            client.get("a").phase,
            client.retry("a"),
            log,
            client.leaks(),
            client.quotas(),
            client.executors(),
            client.load_executors(),
            client.info(),
        ]

    assert await use(work) == [Phase.ABORTED, "default/a-r", b"hello", [], [], [], LoadReply(), INFO]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [({}, "x is missing"), ({"x": "three"}, "x"), ({"x": 1, "z": 2}, "there is no input 'z'")],
)
async def test_inputs_that_do_not_fit_are_refused_before_anything_is_sent(
    use: Callable, fake: FakeEngineApi, inputs: dict[str, object], said: str
) -> None:
    template = echo_template({"x": "int"}).SerializeToString()

    with pytest.raises(UsageError, match=said):
        await use(lambda client: client.submit(template, inputs))

    assert fake.calls == []
