"""
The serializing child: ``python -m airscrew.engine.sdk.serialize FILE [TASK]``, its answer as JSON on stdout.

Exit code 0 with the answer, 2 with an answer that holds an error for the user, 1 with a traceback on stderr for a
defect of ours. Whatever a user's module prints while it is imported goes to stderr. With ``-`` for a file the whole
request comes as JSON on stdin, as ``child`` sends it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from airscrew.engine.sdk import flyte2_source, flytekit_source
from airscrew.engine.sdk.model import Answer, FoundTask, Request, SerializedTask
from airscrew.engine.sdk.source import Source, import_source
from airscrew.idl.errors import UsageError

USAGE = "usage: python -m airscrew.engine.sdk.serialize FILE [TASK [NAME=VALUE...]], or - with the request on stdin"


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer one request and give the exit code."""
    with _own_output() as output:
        try:
            answer = respond(_request(sys.argv[1:] if arguments is None else arguments))
        except UsageError as error:
            answer = Answer(error=str(error))
        output.write(msgspec.json.encode(answer) + b"\n")
    return 2 if answer.error else 0


def respond(request: Request) -> Answer:
    """
    Import the file and list its tasks, or serialize the one that is asked for.

    Raises:
        UsageError: What is wrong with the request, the file or the inputs.
    """
    warnings.simplefilter("ignore")
    source = import_source(Path(request.path))
    if request.task:
        return Answer(task=_serialize(source, request))
    return Answer(tasks=tuple(_load(source).values()))


def _serialize(source: Source, request: Request) -> SerializedTask:
    """Ask the SDK that the file's tasks are of; with none in it, the one that it imports says so."""
    if "flyte" in sys.modules and (flyte2_source.load_tasks(source) or "flytekit" not in sys.modules):
        return flyte2_source.serialize_task(source, request)
    _require_an_sdk(source)
    return flytekit_source.serialize_task(source, request)


def _load(source: Source) -> dict[str, FoundTask]:
    _require_an_sdk(source)
    found: dict[str, FoundTask] = {}
    if "flytekit" in sys.modules:
        found |= flytekit_source.load_tasks(source)
    if "flyte" in sys.modules:
        found |= flyte2_source.load_tasks(source)
    return found


def _require_an_sdk(source: Source) -> None:
    if "flytekit" not in sys.modules and "flyte" not in sys.modules:
        raise UsageError(f"{source.path} imports neither flytekit nor flyte: it defines no task")


def _request(arguments: Sequence[str]) -> Request:
    if not arguments or arguments[0].startswith("--"):
        raise UsageError(USAGE)
    if arguments[0] == "-":
        return msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    path, task, *pairs = [*arguments, ""][: max(2, len(arguments))]
    inputs: dict[str, object] = {}
    for pair in filter(None, pairs):
        name, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"{pair!r} is no NAME=VALUE; {USAGE}")
        inputs[name] = value
    return Request(path=path, task=task, inputs=inputs or None)


@contextlib.contextmanager
def _own_output() -> Generator[BinaryIO]:
    """Keep the real stdout for the answer, and send everybody else's output, C code's too, to stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(kept), "wb") as output:
            yield output
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Both SDKs leave threads and exit handlers behind that take up to a second; the answer is out.
    os._exit(code)
