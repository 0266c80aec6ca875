"""
The engine's side of serialization: start the child, wait for its answer, turn a refusal into a usage error.

It imports no SDK and runs none of the user's code. The child runs with the caller's environment and working folder,
so that ``FILE`` and inputs that are paths mean what they mean to the person who typed them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator

import msgspec

from airscrew.engine.sdk.model import Answer, FoundTask, Request, SerializedTask
from airscrew.idl.errors import AirscrewError, UsageError

TIMEOUT = 120.0


class SerializationError(AirscrewError):
    """The child ended without an answer: a defect, or a user's module that took the process with it."""


async def list_tasks(path: str, *, timeout: float = TIMEOUT) -> tuple[FoundTask, ...]:
    """
    List the tasks of a Python source file, in the order of their definition.

    Raises:
        UsageError: The file cannot be imported, or its import took longer than ``timeout`` seconds.
        SerializationError: The child died.
    """
    return (await _ask(Request(path=path), timeout)).tasks


async def serialize(request: Request, *, timeout: float = TIMEOUT) -> SerializedTask:
    """
    Serialize one task of a Python source file.

    Raises:
        UsageError: The file, the task or an input is wrong, or it took longer than ``timeout`` seconds.
        SerializationError: The child died.
    """
    task = (await _ask(request, timeout)).task
    if task is None:
        raise SerializationError(f"serializing {request.path} gave no task: name one")
    return task


async def _ask(request: Request, timeout: float) -> Answer:
    async with _child() as process:
        try:
            async with asyncio.timeout(timeout):
                output, log = await process.communicate(msgspec.json.encode(request))
        except TimeoutError:
            raise UsageError(f"{request.path} was still being imported after {timeout:g} s: what does it do?") from None
    if process.returncode not in {0, 2}:
        tail = log.decode(errors="replace").strip()[-2000:]
        raise SerializationError(f"serializing {request.path} ended with code {process.returncode}:\n{tail}")
    answer = msgspec.json.decode(output, type=Answer)
    if answer.error:
        raise UsageError(answer.error)
    return answer


@contextlib.asynccontextmanager
async def _child() -> AsyncGenerator[asyncio.subprocess.Process]:
    """Start the child in a group of its own, and leave nothing of it: no process, and none of the SDKs' folders."""
    with tempfile.TemporaryDirectory(prefix="airscrew-sdk-", ignore_cleanup_errors=True) as temporary:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "airscrew.engine.sdk.serialize",
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {"TMPDIR": temporary},
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
