"""Waits as engines have them: woken by what they wait for, whichever engine has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from tests.support.whole_engine import open_whole_engine, view_of
from tests.unit.plugins.waitable.waitable_kit import CuedExecutor, Cues, submit_cued, submit_wait

from airscrew.engine.core import Core
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.ids import ExecutionId
from airscrew.idl.phase import Phase
from airscrew.plugins.waitable import WaitableExecutor
from airscrew.state.memory import MemoryStore

pytestmark = pytest.mark.virtual_time

AT_ONCE = 0.5
"""Much less than any interval of a check."""


@asynccontextmanager
async def engines(count: int, cues: Cues, store: MemoryStore | None = None) -> AsyncGenerator[list[Core], None]:
    """Open engines that share a store; a single one has it for itself."""
    shared = store or MemoryStore()
    async with AsyncExitStack() as stack:
        cores = []
        for number in range(count):
            executors = [CuedExecutor(cues), WaitableExecutor()]
            member = f"m{number}" if count > 1 else ""
            cores.append(await stack.enter_async_context(open_whole_engine(shared, executors, member=member)))
        if count > 1:
            await elapse(60.0)
        yield cores


async def phases(core: Core, names: Sequence[str]) -> list[Phase]:
    return [(await view_of(core, name)).phase for name in names]


def owner_of(cores: Sequence[Core], name: str) -> int:
    """Say which engine has an execution under control."""
    return next(at for at, core in enumerate(cores) if core.controller.live(ExecutionId("default", name)) is not None)


async def test_a_wait_succeeds_at_once_when_all_that_it_names_have() -> None:
    cues = Cues()
    async with engines(1, cues) as (core,):
        await submit_cued(core, "a", "b")
        await submit_wait(core, "wait", "a", "b")
        await elapse(10.0)
        before = await view_of(core, "wait")

        cues.end("a")
        await elapse(AT_ONCE)
        between = await view_of(core, "wait")
        cues.end("b")
        await elapse(AT_ONCE)
        after = await view_of(core, "wait")

    assert (before.phase, before.reason) == (Phase.RUNNING, "waits for default/a, default/b (0 of 2 done)")
    assert (between.phase, between.reason) == (Phase.RUNNING, "waits for default/b (1 of 2 done)")
    assert between.custom_state == {"waits_for": ["default/a", "default/b"], "done": ["default/a"]}
    assert between.info.progress == 0.5
    assert after.phase is Phase.SUCCESS


async def test_what_has_succeeded_already_is_not_waited_for() -> None:
    cues = Cues()
    async with engines(1, cues) as (core,):
        cues.end("a")
        await submit_cued(core, "a")
        await elapse(10.0)

        await submit_wait(core, "wait", "a")
        await elapse(AT_ONCE)

        assert (await view_of(core, "wait")).phase is Phase.SUCCESS


async def test_a_wait_fails_at_once_when_one_that_it_names_has_and_says_why() -> None:
    cues = Cues()
    async with engines(1, cues) as (core,):
        await submit_cued(core, "a", "b")
        await submit_wait(core, "wait", "a", "b")
        await elapse(10.0)

        cues.end("b", "no space left")
        await elapse(AT_ONCE)
        view = await view_of(core, "wait")

        assert view.phase is Phase.PERMANENT_FAILURE
        assert view.error is not None
        assert (view.error.code, view.error.kind.value) == ("AwaitedFailed", "SYSTEM")
        assert view.error.message == "default/b ended as PermanentFailure: no space left"
        assert (await view_of(core, "a")).phase is Phase.RUNNING


async def test_one_that_is_killed_fails_who_waits_for_it() -> None:
    cues = Cues()
    async with engines(1, cues) as (core,):
        await submit_cued(core, "a")
        await submit_wait(core, "wait", "a")
        await elapse(10.0)

        await core.api.kill("default/a", "not needed")
        await elapse(5.0)
        view = await view_of(core, "wait")

    assert view.error is not None
    assert view.error.message.startswith("default/a ended as Aborted")


async def test_an_execution_that_is_not_there_is_an_error_that_names_it() -> None:
    async with engines(1, Cues()) as (core,):
        await submit_wait(core, "wait", "ghost")
        await elapse(AT_ONCE)
        view = await view_of(core, "wait")

    assert view.phase is Phase.PERMANENT_FAILURE
    assert view.error is not None
    assert view.error.code == "UnknownExecution"
    assert view.error.message == "waits for default/ghost, and there is no such execution"


@pytest.mark.parametrize("count", [1, 2])
async def test_those_who_wait_in_a_circle_fail_whoever_comes_last(count: int) -> None:
    async with engines(count, Cues()) as cores:
        async with asyncio.TaskGroup() as group:
            for name, awaited in [("a", "b"), ("b", "c"), ("c", "a")]:
                group.create_task(submit_wait(cores[-1], name, awaited))
        await elapse(30.0)
        views = [await view_of(cores[0], name) for name in ("a", "b", "c")]

    assert {view.phase for view in views} == {Phase.PERMANENT_FAILURE}
    errors = [view.error for view in views if view.error is not None]
    circles = [error.message for error in errors if error.code == "WaitCycle"]
    assert {error.code for error in errors} <= {"WaitCycle", "AwaitedFailed"}
    assert circles
    assert all(message.startswith("waits in a circle: default/") for message in circles)


async def test_one_that_waits_for_what_it_is_a_part_of_waits_in_a_circle() -> None:
    async with engines(1, Cues()) as (core,):
        await submit_cued(core, "parent")
        await submit_wait(core, "child", "parent", parent="default/parent")
        await elapse(5.0)
        view = await view_of(core, "child")

    assert view.error is not None
    assert view.error.message == "waits in a circle: default/child -> default/parent"


async def test_a_chain_of_waits_is_no_circle() -> None:
    cues, names = Cues(), [f"w{number}" for number in range(20)]
    async with engines(1, cues) as (core,):
        await submit_cued(core, "a")
        for name, awaited in zip(names, ["a", *names], strict=False):
            await submit_wait(core, name, awaited)
        await elapse(10.0)
        before = await phases(core, names)

        cues.end("a")
        await elapse(AT_ONCE)

        assert before == [Phase.RUNNING] * 20
        assert await phases(core, names) == [Phase.SUCCESS] * 20


async def test_a_wait_is_woken_by_an_execution_of_another_engine() -> None:
    cues, names = Cues(), [f"a{number}" for number in range(12)]
    async with engines(3, cues) as cores:
        await submit_cued(cores[0], *names)
        for name in names:
            await submit_wait(cores[1], f"wait-{name}", name)
        await elapse(10.0)
        apart = [name for name in names if owner_of(cores, name) != owner_of(cores, f"wait-{name}")]
        before = await phases(cores[2], [f"wait-{name}" for name in names])

        for name in names:
            cues.end(name)
        await elapse(AT_ONCE)
        after = await phases(cores[2], [f"wait-{name}" for name in names])

    assert len(apart) >= 3
    assert before == [Phase.RUNNING] * 12
    assert after == [Phase.SUCCESS] * 12


async def test_a_wait_goes_on_in_the_next_life_of_the_engine_though_what_it_had_is_pruned() -> None:
    cues, store = Cues(), MemoryStore()
    async with engines(1, cues, store) as (core,):
        await submit_cued(core, "a", "b")
        await submit_wait(core, "wait", "a", "b")
        await elapse(5.0)
        cues.end("a")
        await elapse(5.0)
        pruned = await core.api.prune(older_than_seconds=0.0)

    async with engines(1, cues, store) as (core,):
        await elapse(5.0)
        before = await view_of(core, "wait")
        cues.end("b")
        await elapse(AT_ONCE)
        after = await view_of(core, "wait")

    assert pruned == ["default/a"]
    assert (before.phase, before.reason) == (Phase.RUNNING, "waits for default/b (1 of 2 done)")
    assert after.phase is Phase.SUCCESS


async def test_a_killed_wait_is_gone_and_what_it_waited_for_is_left_alone() -> None:
    cues = Cues()
    async with engines(1, cues) as (core,):
        await submit_cued(core, "a")
        await submit_wait(core, "wait", "a")
        await elapse(5.0)

        await core.api.kill("default/wait", "enough")
        await elapse(5.0)

        assert (await view_of(core, "wait")).phase is Phase.ABORTED
        assert (await view_of(core, "a")).phase is Phase.RUNNING
