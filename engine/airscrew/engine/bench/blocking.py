"""
What a plugin that blocks the loop costs the others: how late the loop is beside one, and how late without it.

A thousand tasks of a well-behaved executor are looked at every second. Then the same beside one task whose executor
blocks for a second at each look: once it has done so, it runs on a loop of its own. The two are measured in turns.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import TYPE_CHECKING

import msgspec
from typing_extensions import override

from airscrew.engine.api.model import SubmitRequest
from airscrew.engine.bench.rig import Lag, bench_engine, now, submit_all, until_under_control
from airscrew.engine.executor import Executor, Gone, NoEffect, StartDeclaration, TaskContext, TaskStatus

if TYPE_CHECKING:
    from airscrew.engine.bench import BenchOptions
    from airscrew.engine.core import Core
    from airscrew.idl.template import TaskTemplate

LOOK_SECONDS = 1.0
BLOCK_SECONDS = 1.0
MEASURE_SECONDS = 5.0
OFFENCE_SECONDS = 30.0
SUBMITTERS = 32


class Running(msgspec.Struct, frozen=True):
    """The state of a task that runs until it is killed."""


class Polite(Executor[Running]):
    """Looks at its tasks every second, and takes no time for it."""

    id = "bench-polite"
    task_types = ("bench-polite",)
    state_type = Running
    start_declaration: StartDeclaration = NoEffect()  # type: ignore[misc]  # as other executors write it
    check_interval = LOOK_SECONDS

    @override
    async def start_task(self, context: TaskContext[Running], template: TaskTemplate) -> TaskStatus[Running]:
        return TaskStatus.running(Running())

    @override
    async def check_task_status(self, context: TaskContext[Running], state: Running) -> TaskStatus[Running]:
        return TaskStatus.running(state)

    @override
    async def kill_task(self, context: TaskContext[Running], state: Running, reason: str) -> Gone:
        return Gone()


class Blocking(Polite):
    """Blocks whatever loop it runs on at each look."""

    id = "bench-blocking"
    task_types = ("bench-blocking",)

    @override
    async def check_task_status(self, context: TaskContext[Running], state: Running) -> TaskStatus[Running]:
        time.sleep(BLOCK_SECONDS)  # noqa: ASYNC251 - what it is here for
        return TaskStatus.running(state)


async def measure(options: BenchOptions) -> dict[str, object]:
    """Measure; see ``airscrew bench blocking``."""
    alone, beside = list[Lag](), list[Lag]()
    for number in range(options.repeat):
        alone.append(await _lag(options, f"alone-{number}", blocks=False))
        beside.append(await _lag(options, f"beside-{number}", blocks=True))
    return {
        "tasks": options.tasks,
        "repeat": options.repeat,
        "alone_lag_p99_ms": median(lag.percentile(0.99) for lag in alone),
        "loop_lag_p99_ms": median(lag.percentile(0.99) for lag in beside),
        "loop_lag_max_ms": max(lag.percentile(1.0) for lag in beside),
    }


async def _lag(options: BenchOptions, name: str, *, blocks: bool) -> Lag:
    """Measure the loop's lag over some seconds, after the first offence if there is one."""
    own = msgspec.structs.replace(options, directory=f"{options.directory}/{name}", store="")
    async with bench_engine(own, others=[Polite(), Blocking()]) as (core, _):
        await _start(core, options.tasks)
        if blocks:
            await core.api.submit(SubmitRequest(name="blocks", template=_template("bench-blocking")))
            await _until_isolated(core)
        lag = Lag()
        async with asyncio.TaskGroup() as group:
            sampler = group.create_task(lag.run())
            await asyncio.sleep(MEASURE_SECONDS)
            sampler.cancel()
        return lag


async def _start(core: Core, tasks: int) -> None:
    template = _template("bench-polite")
    requests = (SubmitRequest(name=f"polite-{number}", template=template) for number in range(tasks))
    await submit_all(core, requests, SUBMITTERS)
    await until_under_control(core, tasks)


async def _until_isolated(core: Core) -> None:
    deadline = now() + OFFENCE_SECONDS
    while True:
        host = core.hosts.host_of(Blocking.id)
        if host is not None and host.is_isolated:
            return
        if now() > deadline:
            raise RuntimeError(f"the executor that blocks was not moved in {OFFENCE_SECONDS:g} s")
        await asyncio.sleep(0.05)


def _template(task_type: str) -> bytes:
    from airscrew.idl.template.build import make_template

    return make_template(task_type, name=f"bench.{task_type}").raw
