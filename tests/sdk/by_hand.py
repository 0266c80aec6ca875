"""
An engine in fifty lines: render a template's command, run it as a child process, and read what it left.

It writes down the contract between an engine and the processes of both SDKs, and is what the engine's own executor
is compared with. It decides nothing: no retries, no validation, no deadline.
"""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness

VARIABLE = re.compile(r"{{\s*[.$](\w+)(?:\.(\w+))?\s*}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Where the files of one attempt lie."""

    folder: Path
    number: int = 0
    previous_checkpoint: str = ""

    @property
    def values(self) -> dict[str, str]:
        """The template variables of both SDKs, by lower-case name; an empty checkpoint is two quotes, as in Go."""
        return {
            "input": str(self.folder / "inputs.pb"),
            "inputprefix": str(self.folder),
            "outputprefix": str(self.folder / "outputs"),
            "rawoutputdataprefix": str(self.folder / "raw"),
            "checkpointoutputprefix": str(self.folder / "raw" / "_flytecheckpoints"),
            "prevcheckpointprefix": self.previous_checkpoint or '""',
            "tasktemplatepath": str(self.folder / "task.pb"),
            "perretryuniquekey": f"by-hand-{self.number}",
            "runname": "by-hand",
            "actionname": "a0",
            "runstarttime": "2026-11-01T00:00:00Z",
        }

    @property
    def checkpoint(self) -> str:
        return self.values["checkpointoutputprefix"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one process ended: its exit code, its output, and each file that it left under the output prefix."""

    code: int
    log: str
    files: dict[str, bytes]
    seconds: float

    def read(self, name: str, message_class: Any) -> Any:
        return message_class.FromString(self.files[name])


def render(argument: str, values: dict[str, str]) -> str:
    """Fill the variables of one argument; an unknown one is an error, as it is for the engine."""
    return VARIABLE.sub(lambda found: values[".".join(filter(None, found.groups())).lower()], argument)


def environment(attempt: Attempt) -> dict[str, str]:
    """Give the whole environment of the child: what it needs of ours, and what the engine sets."""
    scripts = sysconfig.get_path("scripts")
    temporary = attempt.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    return {
        "PATH": os.pathsep.join([scripts, os.defpath]),
        "HOME": str(attempt.folder),
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(harness.ROOT),
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C.UTF-8",
        "FLYTE_INTERNAL_EXECUTION_ID": "by-hand",
        "FLYTE_INTERNAL_EXECUTION_PROJECT": harness.PROJECT,
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": harness.DOMAIN,
        "FLYTE_INTERNAL_TASK_PROJECT": harness.PROJECT,
        "FLYTE_INTERNAL_TASK_DOMAIN": harness.DOMAIN,
        "FLYTE_INTERNAL_TASK_VERSION": harness.VERSION,
        "FLYTE_ATTEMPT_NUMBER": str(attempt.number),
        # Flyte 2: who runs, where sub-actions would go, and that local directories are made as they are needed.
        "_U_ORG_NAME": harness.ORG,
        "_U_RUN_BASE": str(attempt.folder),
        "_U_EP_OVERRIDE": "127.0.0.1:1",
        "_U_INSECURE": "true",
        "RUN_NAME": "by-hand",
        "ACTION_NAME": "a0",
        "FSSPEC_FILE_AUTO_MKDIR": "1",
    }


def run(
    container: Any, inputs: bytes, attempt: Attempt, *, template: bytes = b"", env: dict[str, str] | None = None
) -> Ended:
    """Run the command of a container (of either wire form) once, and wait for it."""
    work = attempt.folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    (attempt.folder / "inputs.pb").write_bytes(inputs)
    if template:
        (attempt.folder / "task.pb").write_bytes(template)
    arguments = [render(argument, attempt.values) for argument in [*container.command, *container.args]]
    variables = environment(attempt) | {pair.key: pair.value for pair in container.env} | (env or {})
    started = time.monotonic()
    done = subprocess.run(
        arguments, cwd=work, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False
    )
    seconds = time.monotonic() - started
    outputs = attempt.folder / "outputs"
    files = {path.name: path.read_bytes() for path in outputs.iterdir()} if outputs.is_dir() else {}
    return Ended(code=done.returncode, log=done.stdout.decode(), files=files, seconds=seconds)


def run_task(
    entity: Any, folder: Path, *, number: int = 0, previous: str = "", fast: Any = False, **values: Any
) -> Ended:
    """Serialize a flytekit task and run one attempt of it."""
    from flyteidl.core import tasks_pb2

    template = harness.serialize(entity, fast=fast)
    attempt = Attempt(folder=folder, number=number, previous_checkpoint=previous)
    inputs = harness.to_literals(entity, values).SerializeToString()
    container = tasks_pb2.TaskTemplate.FromString(template).container
    return run(container, inputs, attempt, template=template)


def run_container(entity: Any, folder: Path, **values: str) -> Ended:
    """
    Run a raw container's command as a process, and give its output files.

    No SDK is inside: inputs are files below the data configuration's input path, outputs files below its output path.
    Both paths are the container's own, so they are replaced wherever the command names them.
    """
    from flyteidl.core import tasks_pb2

    container = tasks_pb2.TaskTemplate.FromString(harness.serialize(entity)).container
    inputs, outputs = folder / "in", folder / "outputs"
    for path in (inputs, outputs):
        path.mkdir(parents=True)
    for name, value in values.items():
        (inputs / name).write_text(value)
    words = [VARIABLE.sub(lambda found: values[found[2]], word) for word in [*container.command, *container.args]]
    for given, ours in ((container.data_config.input_path, inputs), (container.data_config.output_path, outputs)):
        words = [word.replace(given, str(ours)) if given else word for word in words]
    container.ClearField("command")
    container.ClearField("args")
    container.args.extend(words)
    return run(container, b"", Attempt(folder=folder))


def run_task2(task: Any, folder: Path, **values: Any) -> Ended:
    """Serialize a Flyte 2 task and run it as a single action."""
    from flyteidl2.task import task_definition_pb2

    specification = task_definition_pb2.TaskSpec.FromString(harness.serialize2(task))
    inputs = harness.to_inputs2(task, values).SerializeToString()
    return run(specification.task_template.container, inputs, Attempt(folder=folder))
