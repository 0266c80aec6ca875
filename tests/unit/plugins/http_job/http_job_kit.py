"""
A fake job service and the configuration with which ``http_job`` talks to it, for tests.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.literal_maps import literals

from airscrew.engine.clock import LoopClock
from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.job_service import FakeJobService
from airscrew.idl.template import make_template
from airscrew.plugins.http_job import HttpJobExecutor, HttpJobState

ENDLESS = 1_000_000.0

SERVICE: dict[str, Any] = {
    "url": "http://jobs.test/base/",
    "create": {
        "path": "/jobs",
        "key_header": "Idempotency-Key",
        "body": {"seconds": "{{.inputs.seconds?}}", "result": "{{.custom.result?}}", "fail": "{{.custom.fail?}}"},
    },
    "get": {"path": "/jobs/{id}"},
    "get_many": {"path": "/jobs?ids={ids}", "items": "$.jobs", "batch": 10},
    "delete": {"path": "/jobs/{id}"},
    "find": {"path": "/jobs?key={key}", "items": "$.jobs", "created_at": "$.created_at"},
    "phases": {
        "queued": "Queued",
        "running": "Running",
        "succeeded": "Success",
        "failed": "RetryableFailure",
        "cancelled": "PermanentFailure",
    },
    "message": "$.message",
    "outputs": "$.result",
}


@dataclass
class Bench:
    environment: ExecutorEnvironment[HttpJobState]
    service: FakeJobService

    def job(self, seconds: float = 10.0, name: str = "task", **more: Any) -> Attempt[HttpJobState]:
        """Make an attempt to run a job for so many seconds."""
        template = make_template("http_job", inputs={"seconds": float}, **more)
        return self.environment.attempt(template, literals(seconds=(seconds, float)), name=name)

    def requests(self) -> list[tuple[str, str]]:
        """List the requests so far: method and path."""
        return [(event.method, event.path) for event in self.service.log]


@asynccontextmanager
async def open_bench(
    *, start: dict[str, Any] | None = None, secrets: dict[str, str] | None = None, **changed: Any
) -> AsyncGenerator[Bench, None]:
    """Open an environment with one service, its configuration changed as given."""
    service = FakeJobService(clock=LoopClock(), token=(secrets or {}).get("token", ""))
    config: dict[str, Any] = {"services": {"http_job": {**SERVICE, **changed}}}
    if start:
        config["start"] = start
    executor = ExecutorEnvironment(lambda: HttpJobExecutor(lambda: service), config=config, secrets=secrets)
    async with executor as environment:
        yield Bench(environment, service)
