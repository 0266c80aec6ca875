"""
The conformance kit over the process executor: over real processes in real time, and over faked ones in virtual time.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from typing_extensions import override

from airscrew.engine.testing.conformance import CHECKS, Check, Job, NotApplicable, Outcome, Scenarios
from airscrew.idl.template import Container, SecretRef, SecurityContext, TaskTemplate, make_template
from airscrew.plugins.process import ProcessExecutor
from airscrew.plugins.process.spawner import Request
from airscrew.plugins.process.testing import FakeSpawner, Script


def shell(*words: str) -> TaskTemplate:
    container = Container(image="example.invalid/image", command=("sh", "-c"), args=words)
    context = SecurityContext(secrets=(SecretRef(group="grp", key="key"),))
    return make_template("container", target=container, security_context=context)


def wait_for_zombie(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.005)


def wait_for_none(tasks: Callable[[], object]) -> None:
    while tasks():
        time.sleep(0.005)


class ProcessScenarios(Scenarios):
    """Shells. What runs is told from ``/proc``, what ever ran from a file that each run adds a line to."""

    config: Mapping[str, object] = {"grace": 0.5}
    secrets: Mapping[str, str] = {"grp/key": "the-value-of-a-secret"}
    has_virtual_time = False
    limit_seconds = 30.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder.as_uri()

    def make_executor(self) -> ProcessExecutor:
        return ProcessExecutor()

    @override
    def succeeding(self) -> Job:
        return self._job("sleep 0.3")

    @override
    def failing(self) -> Job:
        return self._job("sleep 0.1; exit 3")

    @override
    def endless(self) -> Job:
        return self._job("sleep 100000")

    @override
    def refused(self) -> Job:
        return Job(make_template("container", target=Container(image="example.invalid/image")))

    @override
    async def close(self) -> None:
        """Stop what checks that do not apply have left."""
        for supervisor in self._tasks():
            os.kill(supervisor, signal.SIGTERM)
        await asyncio.to_thread(wait_for_none, self._tasks)

    @override
    async def live(self, key: str) -> int:
        return len(self._tasks(key))

    @override
    async def created(self, key: str) -> int:
        path = self.folder / f"runs-{key}"
        lines = len(path.read_text().splitlines()) if path.exists() else 0
        claims = [path.read_text() for path in self.folder.rglob("claim.json")]
        # One that is killed at once has a claim and no line; a claim of nobody keeps an attempt from beginning.
        return max(lines, sum(1 for claim in claims if key in claim and "forbidden" not in claim))

    @override
    async def delete_externally(self, key: str) -> None:
        for supervisor, task in self._tasks(key).items():
            os.kill(supervisor, signal.SIGSTOP)
            os.killpg(task, signal.SIGKILL)
            await asyncio.to_thread(wait_for_zombie, task)
            os.kill(supervisor, signal.SIGKILL)

    def _job(self, script: str) -> Job:
        return Job(shell(f"echo run >> {self.folder}/runs-$AIRSCREW_KEY; {script}"))

    def _tasks(self, key: str = "") -> dict[int, int]:
        """Give the leaders of the sessions that carry the key, or any, by their parents, the supervisors."""
        wanted = {f"AIRSCREW_KEY={key}".encode()} if key else set()
        below = f"AIRSCREW_ATTEMPT={self.folder}/".encode()
        found: dict[int, int] = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                state, parent, _, session = (path / "stat").read_text().rpartition(")")[2].split()[:4]
                env = (path / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            carries = wanted <= set(env) and any(entry.startswith(below) for entry in env)
            if carries and state not in "ZX" and session == path.name:
                found[int(parent)] = int(path.name)
        return found


class FakedProcessScenarios(ProcessScenarios):
    """The same with faked processes, whose script is the last word of the command."""

    has_virtual_time = True
    limit_seconds = 600.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.spawner = FakeSpawner(self._plan)

    @override
    def make_executor(self) -> ProcessExecutor:
        return ProcessExecutor(self.spawner)

    @override
    async def live(self, key: str) -> int:
        return self.spawner.alive(key)

    @override
    async def created(self, key: str) -> int:
        return self.spawner.spawned.count(key)

    @override
    async def delete_externally(self, key: str) -> None:
        self.spawner.lose(key)

    @override
    def calls(self) -> int:
        raise NotApplicable("it makes no requests to a provider")

    def _plan(self, request: Request) -> Script:
        script = request.argv[-1]
        return Script(seconds=1e6 if "100000" in script else 20.0, exit_code=3 if "exit" in script else 0, obeys=False)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def check_outcome(outcome: Outcome, reason: str) -> None:
    if outcome is Outcome.SKIPPED:
        pytest.skip(reason)
    assert outcome is Outcome.PASSED, reason


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
async def test_processes_conform(check: Check, tmp_path: Path) -> None:
    scenarios = ProcessScenarios(tmp_path)

    result = await check.run(scenarios.make_executor, scenarios)

    check_outcome(result.outcome, result.reason)


@pytest.mark.virtual_time
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
async def test_faked_processes_conform(check: Check, tmp_path: Path) -> None:
    scenarios = FakedProcessScenarios(tmp_path)

    result = await check.run(scenarios.make_executor, scenarios)

    check_outcome(result.outcome, result.reason)
