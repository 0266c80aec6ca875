"""
Keeps the process of connectors of an SDK running: begun with the executor, begun again when it ends, gone with it.

Guarantee: nothing of it touches the engine. An import that fails, a crash or a hang is told as the service's problem.
The token goes through a pipe, never into arguments, the environment or a file.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from airscrew.idl.errors import shorten
from airscrew.plugins.connector.config import InProcess, Service

READY_SECONDS = 120.0
FIRST_WAIT_SECONDS = 40.0
LONGEST_PAUSE = 30.0
_BEGIN = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
"""Runs the child by its path, without its folder among those that modules are imported from."""

_SHOWN = 300
_TAIL = 4096


class ConnectorProcess:
    """
    One such process and its successors; open it with ``async with``.

    Args:
        name: What the configuration calls the service.
        orders: What it loads.
        state_directory: Where its log lies; empty for none.

    Attributes:
        token: What its callers have to know.
        problem: Why it does not serve at the moment; empty when it does.
        started: How often it was begun.
    """

    def __init__(self, name: str, orders: InProcess, state_directory: str) -> None:
        self._name = name
        self._orders = orders
        self._log = Path(state_directory) / f"connector-{name}.log" if state_directory else None
        self._folder = ""
        self._group: asyncio.TaskGroup | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self.token = secrets.token_urlsafe(32)
        self.problem = "it is being started"
        self.started = 0
        self.pid: int | None = None

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"unix:{self._folder}/s"

    async def __aenter__(self) -> Self:
        """Begin it; whether it serves is another matter."""
        self._folder = tempfile.mkdtemp(prefix="airscrew-")  # short: a socket's path may have 107 bytes
        self._group = await asyncio.TaskGroup().__aenter__()
        self._task = self._group.create_task(self._run(), name=f"connector process {self._name}")
        return self

    async def wait(self) -> None:
        """Wait a while for it to serve; that it does not is told where its service is asked for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WAIT_SECONDS):
                await self._ready.wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        assert self._group is not None
        assert self._task is not None
        self._task.cancel()
        await self._group.__aexit__(None, None, None)
        shutil.rmtree(self._folder, ignore_errors=True)

    def service(self, service: Service) -> Service:
        """Return the configuration of the service with the address of this process."""
        return msgspec.structs.replace(service, endpoint=self.endpoint)

    async def _run(self) -> None:
        pause = 0.5
        while True:
            before = self.started
            try:
                lived = await self._live()
            except OSError as error:
                self.problem, lived = f"{error.filename} cannot be started: {error.strerror}", False
            self._ready.set()  # whoever waited for the first start need not wait for the next
            assert self.started >= before
            pause = 0.5 if lived else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _live(self) -> bool:
        """Be one process from its start to its end; tells whether it served."""
        with self._open_log() as log:
            process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log or DEVNULL,
                start_new_session=True,  # a Ctrl-C on the terminal is ours to answer
            )
        self.started += 1
        self.pid = process.pid
        try:
            served = await self._serve(process)
            await process.wait()
        finally:
            self.pid = None
            if process.returncode is None:
                process.kill()
                await asyncio.shield(process.wait())
        self.problem = f"its process ended with code {process.returncode}{self._last_words()}"
        return served

    def _command(self) -> tuple[str, ...]:
        """Another interpreter may know nothing of us: the child is a file that needs its SDK and gRPC alone."""
        return (self._orders.python or sys.executable, "-c", _BEGIN, str(Path(__file__).with_name("child.py")))

    async def _serve(self, process: Process) -> bool:
        assert process.stdin is not None
        assert process.stdout is not None
        orders = {"token": self.token, "socket": f"{self._folder}/s", **msgspec.to_builtins(self._orders)}
        process.stdin.write(msgspec.json.encode(orders) + b"\n")
        try:
            async with asyncio.timeout(READY_SECONDS):
                line = await process.stdout.readline()
        except TimeoutError:
            process.kill()
            return False
        if line.strip() != b"ready":
            return False
        self.problem = ""
        self._ready.set()
        return True

    def _open_log(self) -> _Log:
        Path(self._folder, "s").unlink(missing_ok=True)  # the one before may have left its socket
        return _Log(self._log)

    def _last_words(self) -> str:
        if self._log is None or not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _TAIL))
            lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        return f": {shorten(lines[-1], _SHOWN)}" if lines else ""


class _Log:
    """The file that a process writes to, open while it is handed over."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def __enter__(self) -> IO[bytes] | None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
        return self._file

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
