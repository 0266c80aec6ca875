"""
``python -m airscrew.plugins.kubernetes.loader download`` or ``upload``: what a container of the data loader runs.

``upload`` waits for SIGTERM, which Kubernetes sends to a sidecar when all other containers of its Pod are over. The
exit code tells how it went (see ``Code``), and the termination message what there is to say.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from airscrew.engine.data.errors import FileMissingError, StorageDeniedError, StorageError
from airscrew.engine.data.leaving import leave
from airscrew.engine.data.storage import Storage
from airscrew.engine.errors import PermanentError
from airscrew.idl.errors import AirscrewError, UsageError, shorten
from airscrew.idl.wire import WireError
from airscrew.plugins.kubernetes.loader.job import (
    MESSAGE_LIMIT,
    MESSAGE_PATH,
    READY_PATH,
    VARIABLE,
    Code,
    LoaderJob,
    decode_job,
)
from airscrew.plugins.kubernetes.loader.work import TaskFailedError, download, upload
from airscrew.plugins.raw_files import OutputError

VERBS = ("download", "upload")
CALL_TIMEOUT = 600.0
"""Seconds that one file may take; what bounds the whole is the Pod's grace period."""


async def run(verb: str, job: LoaderJob, ready_path: str = READY_PATH) -> tuple[Code, str]:
    """
    Do it, and tell how it went: the exit code and what there is to say.

    Args:
        verb: ``download`` or ``upload``; the latter waits for the end of the task first.
        job: What to bring and to take.
        ready_path: The file that says that the uploader waits.
    """
    try:
        if verb == "upload":
            await _end_of_task(ready_path)
        async with Storage(max_bytes=job.max_file_bytes, timeout=CALL_TIMEOUT) as storage:
            await (download(job, storage) if verb == "download" else upload(job, storage))
    except TaskFailedError as error:
        return Code.TASK_ERROR, str(error)
    except OutputError as error:
        return Code.BAD_OUTPUTS, str(error)
    except (StorageError, StorageDeniedError, OSError) as error:
        missing = isinstance(error, FileMissingError) and verb == "download"
        return (Code.BAD_INPUTS if missing else Code.STORAGE), str(error)
    except (PermanentError, WireError) as error:
        return (Code.BAD_INPUTS if verb == "download" else Code.BAD_OUTPUTS), str(error)
    except AirscrewError as error:
        return Code.BAD_JOB, str(error)
    return Code.DONE, ""


async def _end_of_task(ready_path: str) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    Path(ready_path).touch()  # noqa: ASYNC240 - an empty file in memory
    await told.wait()


def main(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    message_path: str = MESSAGE_PATH,
    ready_path: str = READY_PATH,
) -> int:
    """Run the data loader; returns its exit code."""
    try:
        if len(arguments) != 1 or arguments[0] not in VERBS:
            raise UsageError(f"say what to do: {' or '.join(VERBS)}")
        if VARIABLE not in environment:
            raise UsageError(f"{VARIABLE} is not set: the data loader is started by the Pod executor")
        code, message = asyncio.run(run(arguments[0], decode_job(environment[VARIABLE]), ready_path))
    except UsageError as error:
        code, message = Code.BAD_JOB, str(error)
    if message:
        _tell(shorten(message, MESSAGE_LIMIT), message_path)
    return int(code)


def _tell(message: str, path: str) -> None:
    sys.stderr.write(message + "\n")
    try:
        Path(path).write_text(message, encoding="utf-8")
    except OSError:  # outside of a container; what went to stderr is taken instead
        return


if __name__ == "__main__":
    leave(main(sys.argv[1:], os.environ))
