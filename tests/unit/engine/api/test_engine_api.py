"""What holds an ``EngineApi`` cannot tell the engine from a client of it: the same checks over all three."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import pytest
from tests.support.fake_engine import BAD_TEMPLATE, RUNNING, SUCCESS, FakeEngineApi

from airscrew.engine.api.codes import STATUSES
from airscrew.engine.api.model import (
    ApiError,
    ExecutorView,
    LeakView,
    ListRequest,
    LoadReply,
    LoadView,
    LogChunk,
    OutputsView,
    QuotaView,
    SubmitRequest,
)
from airscrew.engine.api.port import EngineApi
from airscrew.idl.phase import Phase

T = TypeVar("T")
REQUEST = SubmitRequest(name="a", template=b"t", labels={"team": "x"})


async def collect(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]


async def test_a_submission_is_answered_with_its_execution(api: EngineApi, fake: FakeEngineApi) -> None:
    reply = await api.submit(REQUEST)

    assert (reply.execution, reply.created) == ("default/a", True)
    assert fake.requests["default/a"] == REQUEST


async def test_the_same_submission_again_answers_the_same(api: EngineApi) -> None:
    first = await api.submit(REQUEST)

    again = await api.submit(REQUEST)

    assert (again.uid, again.created) == (first.uid, False)


async def test_a_view_arrives_as_the_engine_gave_it(api: EngineApi, fake: FakeEngineApi) -> None:
    await api.submit(REQUEST)
    await fake.change("default/a", custom_state={"n": 2**60}, **RUNNING)

    view = await api.get("default/a")

    assert view == fake.views["default/a"]


async def test_a_list_is_read_page_by_page(api: EngineApi) -> None:
    for name in ("a", "b", "c"):
        await api.submit(SubmitRequest(name=name, template=b"t"))

    first = await api.list(ListRequest(limit=2))
    second = await api.list(ListRequest(limit=2, page_token=first.next_page_token))

    assert [view.execution for view in first.executions + second.executions] == ["default/a", "default/b", "default/c"]
    assert second.next_page_token == ""


async def test_a_list_keeps_to_labels_phases_and_what_is_active(api: EngineApi, fake: FakeEngineApi) -> None:
    await api.submit(REQUEST)
    await api.submit(SubmitRequest(name="b", template=b"t", labels={"team": "x"}))
    await fake.change("default/b", **SUCCESS)

    by_phase = await api.list(ListRequest(labels={"team": "x"}, phases=[Phase.SUCCESS]))
    active = await api.list(ListRequest(active=True))

    assert [view.execution for view in by_phase.executions] == ["default/b"]
    assert [view.execution for view in active.executions] == ["default/a"]


async def test_a_watch_shows_each_change_and_ends_with_the_execution(api: EngineApi, fake: FakeEngineApi) -> None:
    fake.script = [RUNNING, SUCCESS]
    await api.submit(REQUEST)

    views = await collect(api.watch("default/a"))

    assert [view.phase for view in views] == [Phase.QUEUED, Phase.RUNNING, Phase.SUCCESS]


async def test_a_watch_that_is_left_early_leaves_nothing_behind(api: EngineApi) -> None:
    await api.submit(REQUEST)

    async for view in api.watch("default/a"):
        assert view.phase is Phase.QUEUED
        break

    assert (await api.get("default/a")).phase is Phase.QUEUED


async def test_outputs_arrive_as_the_engine_gave_them(api: EngineApi, fake: FakeEngineApi) -> None:
    await api.submit(REQUEST)
    fake.results["default/a"] = OutputsView(outputs=b"\x01", values={"o0": 2**62}, types={"o0": "int"})

    assert await api.outputs("default/a") == fake.results["default/a"]


async def test_a_kill_carries_its_reason_and_its_force(api: EngineApi, fake: FakeEngineApi) -> None:
    await api.submit(REQUEST)

    await api.kill("default/a", "enough", force=True)

    assert ("kill", ("default/a", "enough", True)) in fake.calls
    assert (await api.get("default/a")).phase is Phase.ABORTED


async def test_a_retry_answers_with_the_new_execution(api: EngineApi, fake: FakeEngineApi) -> None:
    await api.submit(REQUEST)
    await fake.change("default/a", **SUCCESS)

    reply = await api.retry("default/a")

    assert reply.execution == "default/a-r"
    assert fake.views["default/a-r"].origin == "default/a"


@pytest.mark.parametrize("attempt", [None, 0, 2])
async def test_a_log_arrives_in_order(api: EngineApi, fake: FakeEngineApi, attempt: int | None) -> None:
    await api.submit(REQUEST)
    await fake.write_log("default/a", b"one\n\xff")

    chunks = await collect(api.logs("default/a", attempt=attempt))

    assert chunks == [LogChunk(data=b"one\n\xff", attempt=attempt or 0)]
    assert ("logs", ("default/a", attempt, False)) in fake.calls


async def test_metrics_are_asked_for_instead_of_the_log(api: EngineApi, fake: FakeEngineApi) -> None:
    await api.submit(REQUEST)

    await collect(api.logs("default/a", metrics=True))

    assert [call for call, _ in fake.calls if call in {"logs", "metrics"}] == ["metrics"]


async def test_a_log_is_followed_until_the_end(api: EngineApi, fake: FakeEngineApi) -> None:
    await api.submit(REQUEST)

    async with asyncio.TaskGroup() as group:
        reader = group.create_task(collect(api.logs("default/a", follow=True)))
        await fake.write_log("default/a", b"one\n")
        await fake.write_log("default/a", b"two\n")
        await fake.change("default/a", **SUCCESS)

    assert b"".join(chunk.data for chunk in reader.result()) == b"one\ntwo\n"


async def test_leaks_are_listed_and_cleared(api: EngineApi, fake: FakeEngineApi) -> None:
    leak = LeakView(key="ab", execution="default/a", executor="x", attempt=0, state="unknown", since=1.0)
    fake.leak_views = [leak]

    before = await api.leaks()
    await api.clear_leak("ab")

    assert before == [leak]
    assert await api.leaks() == []


async def test_quotas_are_listed(api: EngineApi, fake: FakeEngineApi) -> None:
    fake.quota_views = [
        QuotaView(pool="hive", limit=0, used=3, waiting=2, oldest_wait_since=1.5),
        QuotaView(pool="hive", scope="namespace a", limit=None),
    ]

    assert await api.quotas() == fake.quota_views


async def test_pruning_answers_with_the_names(api: EngineApi, fake: FakeEngineApi) -> None:
    await api.submit(REQUEST)
    await fake.change("default/a", **SUCCESS)

    names = await api.prune(older_than_seconds=5.0, keep=0, dry_run=True)

    assert names == ["default/a"]
    assert ("prune", (5.0, 0, True)) in fake.calls


async def test_executors_are_listed(api: EngineApi, fake: FakeEngineApi) -> None:
    fake.executor_views = [ExecutorView(id="echo", task_types=["echo"]), ExecutorView(id="bad", problem="ImportError")]

    assert await api.executors() == fake.executor_views


async def test_a_load_answers_with_what_came_of_each(api: EngineApi, fake: FakeEngineApi) -> None:
    late = LoadView(id="late", outcome="restart", version="1", installed="2", task_types=["a"], reason="restart")
    fake.load_reply = LoadReply(executors=[late, LoadView(id="new", outcome="loaded")], member="here-1")

    assert await api.load_executors() == fake.load_reply
    assert ("load_executors", None) in fake.calls


@pytest.mark.parametrize("code", STATUSES)
async def test_a_refusal_keeps_its_code_and_its_message_in_one_line(
    api: EngineApi, fake: FakeEngineApi, code: str
) -> None:
    fake.refuse["get"] = ApiError(code, "no: märchen\nsecond line")

    with pytest.raises(ApiError) as caught:
        await api.get("default/a")

    assert (caught.value.code, str(caught.value)) == (code, r"no: märchen\nsecond line")


async def test_a_stream_that_is_refused_keeps_its_code(api: EngineApi) -> None:
    with pytest.raises(ApiError) as watching:
        await collect(api.watch("default/none"))
    with pytest.raises(ApiError) as reading:
        await collect(api.logs("default/none"))

    assert (watching.value.code, reading.value.code) == ("not_found", "not_found")


async def test_a_template_that_is_none_is_invalid(api: EngineApi) -> None:
    with pytest.raises(ApiError) as caught:
        await api.submit(SubmitRequest(template=BAD_TEMPLATE))

    assert caught.value.code == "invalid"
