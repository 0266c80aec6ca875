"""
The executor over a fake Qubole, for tests.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.fake_qubole import FakeQubole

from airscrew.engine.clock import LoopClock
from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.template import TaskTemplate, make_template
from airscrew.plugins.qubole import HiveState, QuboleExecutor

TOKEN = "t0k3n-of-qubole"
ENDLESS = 1_000_000
SECRETS = {"qubole-token": TOKEN}
CONFIG = {"url": "https://qubole.test/api/v1.2", "secret": "qubole-token"}


def hive_task(query: str, **more: Any) -> TaskTemplate:
    """Make a task as flytekit's Hive plugin sends it."""
    custom = {"clusterLabel": "etl", "query": {"query": query}, **more.pop("custom", {})}
    return make_template("hive", custom=custom, **more)


@dataclass
class Bench:
    environment: ExecutorEnvironment[HiveState]
    qubole: FakeQubole

    def task(self, query: str, inputs: Any = None, *, name: str = "task", **more: Any) -> Attempt[HiveState]:
        return self.environment.attempt(hive_task(query, **more), inputs, name=name)


@asynccontextmanager
async def open_bench(*, make_service: type[FakeQubole] = FakeQubole, **config: Any) -> AsyncGenerator[Bench, None]:
    service = make_service(clock=LoopClock(), token=TOKEN, slow_seconds=60.0)
    environment = ExecutorEnvironment(
        lambda: QuboleExecutor(lambda: service), config={**CONFIG, **config}, secrets=SECRETS
    )
    async with environment:
        yield Bench(environment, service)
