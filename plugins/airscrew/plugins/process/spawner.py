"""
The outside of this executor: supervisors, and how they are started, seen and told to stop.

``Spawner`` is all that the executor knows of processes; ``LocalSpawner`` is the real one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol

import msgspec
from typing_extensions import override

from airscrew.plugins.process import observation
from airscrew.plugins.process.observation import Claim, Observation
from airscrew.plugins.process.processes import find_of_attempt, reap, send, send_to_group
from airscrew.plugins.process.state import Place
from airscrew.plugins.process.watch import ExitWatch

SUPERVISOR = Path(__file__).with_name("supervisor.py")
REAP_PAUSE = 0.05
_STRANGE = (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD, signal.SIGHUP)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a supervisor is asked to run. It is sent and never stored: it holds secrets.

    Attributes:
        directory: The control directory.
        key: The attempt's key.
        argv: The command and its arguments.
        executable: The file to execute.
        env: The whole environment.
        cwd: The working directory.
        log: The file for both output streams.
        digest: Of ``argv``; kept with the claim.
        grace: Seconds between SIGTERM and SIGKILL.
        rlimits: Limits by name.
        log_limit: The log's bound in bytes.
        oom_score_raise: How much rather than the engine the task is killed when memory runs out.
        secret_files: Values by path.
        secret_directory: The folder that all of those lie in.
    """

    directory: str
    key: str
    argv: tuple[str, ...]
    executable: str
    env: Mapping[str, str]
    cwd: str
    log: str
    digest: str
    grace: float
    rlimits: Mapping[str, int]
    log_limit: int | None = None
    oom_score_raise: int = 200
    secret_files: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    secret_directory: str = ""


class Answer(msgspec.Struct, frozen=True):
    """
    What a supervisor answers.

    Attributes:
        result: ``started``; ``exists``: somebody had claimed the attempt, nothing was changed; ``refused``: nothing
            was started.
        claim: The claim as it stands.
        text: Why it refused.
    """

    result: str
    claim: Claim | None = None
    text: str = ""


class Spawner(Protocol):
    """Starts, sees and stops supervisors."""

    async def spawn(self, request: Request) -> Answer:
        """
        Start a supervisor. For one control directory at most one task is ever executed, whoever asks how often.

        Raises:
            BlockingIOError: The machine has no room for a process: certainly nothing was started.
            OSError: Nobody knows.
        """
        ...

    def observe(self, place: Place) -> Observation:
        """Look at an attempt."""
        ...

    def watch(self, place: Place, seen: Observation, wake: Callable[[], None]) -> bool:
        """Have ``wake`` called when the attempt ends; False when that cannot be."""
        ...

    def forget(self, place: Place) -> None:
        """Stop watching."""
        ...

    def forbid(self, place: Place) -> bool:
        """Make certain that an attempt never begins; False when it has begun."""
        ...

    async def stop(self, place: Place, seen: Observation, *, by_force: bool) -> None:
        """Tell an attempt to stop, or kill all of it; returns without waiting for the end."""
        ...

    async def has_strays(self, place: Place) -> bool:
        """Tell whether processes are left of an attempt whose supervisor did not come to its end."""
        ...

    def close(self) -> None:
        """Stop watching; processes go on."""
        ...


class LocalSpawner(Spawner):
    """Supervisors that are real processes of this machine."""

    def __init__(self) -> None:
        self._watch = ExitWatch()
        self._children: set[int] = set()

    @override
    async def spawn(self, request: Request) -> Answer:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with closing(ours):
            ours.setblocking(False)
            with closing(theirs):
                pid = _spawn_supervisor(theirs.fileno(), request.directory)
            try:
                await loop.sock_sendall(ours, msgspec.json.encode(request) + b"\n")
                line = await _read_line(loop, ours)
            finally:
                self._children.add(pid)
                self._reap(loop)
        if not line.endswith(b"\n"):
            raise OSError(f"the supervisor died at its start: see {request.directory}/supervisor.log")
        return msgspec.json.decode(line, type=Answer)

    @override
    def observe(self, place: Place) -> Observation:
        return observation.observe(place)

    @override
    def watch(self, place: Place, seen: Observation, wake: Callable[[], None]) -> bool:
        if seen.claim is None or not seen.is_same_boot:
            return False
        process = seen.claim.supervisor if seen.is_supervised else seen.claim.task
        return self._watch.watch(place.key, process, wake)

    @override
    def forget(self, place: Place) -> None:
        self._watch.forget(place.key)

    @override
    def forbid(self, place: Place) -> bool:
        return observation.forbid(place)

    @override
    async def stop(self, place: Place, seen: Observation, *, by_force: bool) -> None:
        claim = seen.claim
        if claim is None or not seen.is_same_boot:
            return
        if not by_force and send(claim.supervisor, signal.SIGTERM):
            return
        number = signal.SIGKILL if by_force else signal.SIGTERM
        send_to_group(claim.task, number)
        found = await asyncio.to_thread(find_of_attempt, place)
        others = [name for name in found if name != claim.supervisor]
        for name in others:
            send(name, number)
        if by_force:
            # A supervisor that was stopped goes on and ends by itself; one that does not when all else is gone must go.
            send(claim.supervisor, signal.SIGCONT if others else signal.SIGKILL)

    @override
    async def has_strays(self, place: Place) -> bool:
        return bool(await asyncio.to_thread(find_of_attempt, place))

    @override
    def close(self) -> None:
        self._watch.close()
        self._children = {pid for pid in self._children if not reap(pid)}

    def _reap(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reap the processes that have forked supervisors: they have ended already, or are about to."""
        self._children = {pid for pid in self._children if not reap(pid)}
        if self._children:
            loop.call_later(REAP_PAUSE, self._reap, loop)


def _spawn_supervisor(channel: int, directory: str) -> int:
    """Start the supervisor's process; it inherits the channel and nothing else."""
    log = os.open(f"{directory}/supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", str(SUPERVISOR)],
            {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, channel, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setpgroup=0,
            setsigmask=(),
            setsigdef=_STRANGE,
        )
    finally:
        os.close(log)


async def _read_line(loop: asyncio.AbstractEventLoop, channel: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        chunk = await loop.sock_recv(channel, 1 << 16)
        if not chunk:
            break
        data += chunk
    return data
