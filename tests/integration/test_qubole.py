"""
Hive tasks over the network: our service in Qubole's place, called by Qubole's own client as well, and by the command
line.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from tests.support.fake_qubole import FakeQubole
from tests.support.programs import die_with_us
from tests.unit.plugins.qubole.qubole_kit import SECRETS, TOKEN, hive_task

from airscrew.engine.clock import LoopClock
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.phase import Phase
from airscrew.plugins.qubole import QuboleExecutor

# Its package asks pkg_resources for its version, which new setuptools no longer have, and imports a module that Python
# 3.13 no longer has; it needs neither for what is done here.
THEIR_CLIENT = """
import json, os, sys, types
sys.modules["pkg_resources"] = types.SimpleNamespace(get_distribution=lambda name: types.SimpleNamespace(version="1"))
sys.modules.setdefault("pipes", types.ModuleType("pipes"))
from qds_sdk.commands import Command, HiveCommand
from qds_sdk.qubole import Qubole

Qubole.configure(api_token=os.environ["QDS_API_TOKEN"], api_url=sys.argv[1], version="v1.2")
made = HiveCommand.create(query="select sleep(100)", name="theirs", tags="a,b", label="etl")
other = HiveCommand.create(query="select 1", name="other")
listed = HiveCommand.list(name="theirs", per_page=100, all_users=1)
before = HiveCommand.find(made.id).status
killed = HiveCommand.cancel_id(made.id)
after = HiveCommand.find(made.id).status
print(json.dumps({
    "made": made.id, "listed": [one["id"] for one in listed["commands"]], "before": before, "after": after,
    "killed": killed, "is_done": HiveCommand.is_done(after),
}))
"""


@asynccontextmanager
async def served() -> AsyncGenerator[tuple[FakeQubole, str], None]:
    service = FakeQubole(clock=LoopClock(), token=TOKEN, queue_seconds=0.0)
    async with service.serve() as url:
        yield service, url


async def ran(*command: str, **environment: str) -> str:
    """Run a program to its end, and return what it printed."""
    done = await asyncio.to_thread(
        subprocess.run,
        [*die_with_us(), *command],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


async def test_the_service_of_these_tests_is_one_for_quboles_own_client() -> None:
    async with served() as (service, url):
        told = json.loads(
            await ran(sys.executable, "-W", "ignore", "-c", THEIR_CLIENT, f"{url}/api", QDS_API_TOKEN=TOKEN)
        )

    assert told == {
        "made": 1001,
        "listed": [1001],
        "before": "running",
        "after": "cancelled",
        "killed": {"kill_succeeded": "true"},
        "is_done": True,
    }
    assert service.bodies[0]["tags"] == ["a", "b"]


async def test_a_task_runs_over_the_network() -> None:
    async with served() as (service, url):
        config = {"url": f"{url}/api/v1.2", "secret": "qubole-token", "interval": 0.2}
        async with ExecutorEnvironment(QuboleExecutor, config=config, secrets=SECRETS) as environment:
            attempt = environment.attempt(hive_task("select 1"))

            status = await attempt.run(limit_seconds=60.0)

    assert status.phase is Phase.SUCCESS
    assert service.created[attempt.key] == 1


async def test_the_token_is_in_no_file_that_the_command_line_leaves_and_in_nothing_that_it_says(tmp_path: Path) -> None:
    task: dict[str, Any] = {"type": "hive", "id": {"name": "t"}, "custom": {"query": {"query": "select 'x'"}}}
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    async with served() as (service, url):
        own = {"url": f"{url}/api/v1.2", "secret": "qubole-token", "interval": 0.2}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"executors": {"qubole": own}}))
        command = [sys.executable, "-m", "airscrew.engine.cli", "--home", str(tmp_path / "home")]
        command += ["--config", str(tmp_path / "config.yaml"), "run", str(tmp_path / "task.yaml"), "--name", "t"]

        out = await ran(*command, _FSEC_QUBOLE_TOKEN=TOKEN)

    left = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert len(service.bodies) == 1
    assert any(b"select 'x'" in path.read_bytes() for path in left)
    assert [path for path in left if TOKEN.encode() in path.read_bytes()] == []
    assert TOKEN not in out
