"""
How a command gets to a cluster, and the one implementation of it that stays on this machine.

What went wrong is told by the classes of ``webapi.errors``, for the difference decides whether a job may exist. A
command is run once. It gets a clean environment: what the engine's own holds, secrets among it, never reaches a job.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from typing_extensions import override

from airscrew.plugins.webapi import UnclearError, UnreachableError

GRACE_SECONDS = 5.0
"""A command that outlives its time-out, which it is under by itself, is ended after so much more."""

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_KEPT = ("HOME", "USER", "LOGNAME", "TZ")


@dataclass(frozen=True, slots=True)
class Finished:
    """
    A command that has ended.

    Attributes:
        code: Its exit code; negative for a signal.
        out: What it printed.
        err: What it complained of.
    """

    code: int
    out: str
    err: str = ""


class Shell(Protocol):
    """Runs commands where Slurm's are."""

    async def run(self, words: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Finished:
        """
        Run a command once.

        Args:
            words: The command and its arguments, each one word.
            stdin: What it reads.
            timeout: Seconds that it may take.

        Raises:
            UnreachableError: Certainly nothing was run.
            DeniedError: The same, for lack of rights.
            UnclearError: Nobody knows what came of it.
        """
        ...

    async def close(self) -> None:
        """End what is open."""
        ...


class LocalShell(Shell):
    """Runs commands on this machine, in the user's home folder."""

    @override
    async def run(self, words: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Finished:
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=clean_environment(),
                cwd=Path.home(),
                start_new_session=True,
            )
        except OSError as error:
            raise UnreachableError(f"{words[0]} cannot be run: {error}") from error
        try:
            async with asyncio.timeout(timeout + GRACE_SECONDS):
                out, err = await process.communicate(stdin)
        except TimeoutError as error:
            raise UnclearError(f"no answer within {timeout:g} s") from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return Finished(process.returncode or 0, _text(out), _text(err))

    @override
    async def close(self) -> None:
        return


def clean_environment() -> dict[str, str]:
    """Return the variables that a command needs, and none beside them."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PATH": os.environ.get("PATH", DEFAULT_PATH), "LC_ALL": "C.UTF-8"}


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
