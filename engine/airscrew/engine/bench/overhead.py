"""
What the engine adds to a task: from the begin of our process to the task's, and from the task's end to ours.

Both by timestamps of one run: the supervisor writes down when the task's process began and ended, this program when the
command began and ended; modules are compiled beforehand, see ``startup``. Measured three ways: by ``airscrew run``
alone, by ``airscrew run`` through an engine that serves, and by a client that is connected to such an engine.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, cast

from airscrew.engine.bench.startup import COMMAND, compiled

if TYPE_CHECKING:
    from airscrew.engine.api.port import EngineApi
    from airscrew.engine.bench import BenchOptions

START_SECONDS = 30.0
"""How long an engine may take until it answers."""

_STEP_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """
    What one run took beside the task itself, in seconds.

    Attributes:
        before: From its begin until the task's process was there.
        after: From the end of the task's process to its own.
    """

    before: float
    after: float

    @property
    def total(self) -> float:
        """Both."""
        return self.before + self.after


async def measure(options: BenchOptions) -> dict[str, object]:
    """Measure; see ``airscrew bench overhead``."""
    folder = Path(options.directory)
    template = folder / "true.pb"
    template.write_bytes(true_template())
    await _by_command(template, folder / "first")
    alone = [await _by_command(template, folder / "alone") for _ in range(options.repeat)]
    home = folder / "serving"
    async with _engine(home) as api:
        commands = [await _by_command(template, home) for _ in range(options.repeat)]
        await _by_client(api, template.read_bytes())
        calls = [await _by_client(api, template.read_bytes()) for _ in range(options.repeat)]
    return {
        "repeat": options.repeat,
        **_figures("run", alone),
        **_figures("run_through_serve", commands),
        **_figures("serve", calls),
    }


def true_template() -> bytes:
    """Make the template of a container whose command does nothing."""
    from flyteidl.core.identifier_pb2 import TASK, Identifier
    from flyteidl.core.interface_pb2 import TypedInterface
    from flyteidl.core.tasks_pb2 import Container, TaskMetadata, TaskTemplate

    name = Identifier(resource_type=TASK, project="bench", domain="development", name="bench.true", version="1")
    container = Container(image="none", command=["true"])
    template = TaskTemplate(
        id=name, type="raw-container", metadata=TaskMetadata(), interface=TypedInterface(), container=container
    )
    return bytes(template.SerializeToString())


def _figures(name: str, runs: list[Overhead]) -> dict[str, object]:
    return {
        f"{name}_s": round(median(run.total for run in runs), 3),
        f"{name}_before_s": round(median(run.before for run in runs), 3),
        f"{name}_after_s": round(median(run.after for run in runs), 3),
        f"{name}_max_s": round(max(run.total for run in runs), 3),
    }


async def _by_command(template: Path, home: Path) -> Overhead:
    began = time.time()
    output = await _command("run", str(template), "-o", "json", home=home)
    ended = time.time()
    return _compared(began, ended, json.loads(output)["custom_state"])


async def _by_client(api: EngineApi, template: bytes) -> Overhead:
    from airscrew.engine.api.model import SubmitRequest

    began = time.time()
    reply = await api.submit(SubmitRequest(template=template))
    view = [view async for view in api.watch(reply.execution)][-1]
    return _compared(began, time.time(), view.custom_state)


def _compared(began: float, ended: float, state: object) -> Overhead:
    place = cast("Mapping[str, Mapping[str, str]]", state)["place"]
    status = json.loads((Path(place["directory"]) / "status.json").read_bytes())
    return Overhead(before=status["started_at"] - began, after=ended - status["ended_at"])


async def _command(*arguments: str, home: Path) -> bytes:
    pipe = asyncio.subprocess.PIPE
    environment = compiled(home.parent, home)
    process = await asyncio.create_subprocess_exec(
        str(COMMAND), *arguments, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )
    output, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"airscrew {' '.join(arguments)} failed: {(errors or output).decode()[-500:]}")
    return output


@asynccontextmanager
async def _engine(home: Path) -> AsyncIterator[EngineApi]:
    """Serve a home by a process of its own, and be connected to it."""
    from airscrew.engine.api.address import is_answering, socket_beside
    from airscrew.engine.api.client import connect

    log = Path(f"{home}.log")
    with log.open("wb") as stream:  # noqa: ASYNC230 - one small local file
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "airscrew.engine.cli",
            "--home",
            str(home),
            "serve",
            "--process",
            env=compiled(home.parent, home),
            stderr=stream,
        )
    try:
        address = socket_beside(home / "state.db")
        async with asyncio.timeout(START_SECONDS):
            while not is_answering(address):
                if process.returncode is not None:
                    raise RuntimeError(f"the engine ended: {_tail(log)}")
                await asyncio.sleep(_STEP_SECONDS)
        async with connect(address) as client:
            yield client
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-500:]
