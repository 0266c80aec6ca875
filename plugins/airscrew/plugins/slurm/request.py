"""
From a task to what ``sbatch`` is given: options, words, a script and variables.

What a task says becomes quoted words of a command, or values of variables: nothing of it is ever read as a command,
but for the script itself, which is the user's program. An input in a script is the value of a variable, and so cannot
break out of it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import TaskContext
from airscrew.idl.literals import to_json
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.slurm.commands import STDIN
from airscrew.plugins.slurm.config import Cluster
from airscrew.plugins.slurm.state import SlurmState

FUNCTION_TYPE: Final = "slurm_fn"
TASK_FN: Final = "{task.fn}"
INPUT_PREFIX: Final = "AIRSCREW_INPUT_"
FUNCTION_SCRIPT: Final = f"#!/bin/bash -i\n{TASK_FN}\n"
"""As flytekit's own connector runs a function: in a shell that has read the user's ``.bashrc``."""

OURS: Final = frozenset(
    {"parsable", "wait", "array", "wrap", "test-only", "help", "usage", "version", "clusters", "quiet"}
)
"""Options that would change what ``sbatch`` answers, or how many jobs it makes."""

LARGEST_VARIABLES: Final = 64 * 1024
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_INPUT = re.compile(r"\{\{\s*[.$]inputs\.(\w+)\s*\}\}|\{\s*inputs\.(\w+)\s*\}", re.IGNORECASE)
_ARRAY = re.compile(r"^#SBATCH\s+(?:.*\s)?(?:--array\b|-a\b)", re.MULTILINE)


class Ssh(msgspec.Struct, frozen=True):
    """``ssh_config`` of a task: which cluster it means. Keys are the operator's, and in the configuration."""

    host: str = ""
    username: str | None = None


class Custom(msgspec.Struct, frozen=True):
    """``template.custom``, as flytekit's Slurm plugin writes it."""

    ssh_config: Ssh = Ssh()
    sbatch_config: dict[str, str | float | bool | None] | None = None
    batch_script_path: str | None = None
    batch_script_args: list[str] | None = None
    script: str | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """
    What is asked for.

    Attributes:
        options: Of ``sbatch``.
        words: The script on the cluster, or ``STDIN``, and its arguments.
        script: What is sent; empty for a script that is there.
        environment: Variables of the job.
    """

    options: Sequence[str]
    words: Sequence[str]
    script: str
    environment: Mapping[str, str]


def read_custom(template: TaskTemplate) -> Custom:
    """
    Read what a task says.

    Raises:
        PermanentError: It does not fit; names the field.
    """
    try:
        return msgspec.convert(dict(template.custom), Custom)
    except msgspec.ValidationError as error:
        raise _bad(f"template.custom of a {template.type} task: {error}") from error


def cluster_of(custom: Custom, clusters: Mapping[str, Cluster]) -> str:
    """
    Say which cluster a task means: by its name, or by host and user; one that names none means the only one.

    Raises:
        PermanentError: No such cluster is configured.
    """
    ssh = custom.ssh_config
    if not ssh.host and len(clusters) == 1:
        return next(iter(clusters))
    for name, cluster in clusters.items():
        is_meant = ssh.host == name or (ssh.host and ssh.host == cluster.host)
        if is_meant and ssh.username in {None, "", cluster.user}:
            return name
    wanted = f"{ssh.username}@{ssh.host}" if ssh.username else ssh.host or "no host at all"
    raise PermanentError(
        f"custom.ssh_config names {wanted}, and there is no such cluster: add it to executors.slurm.clusters"
        f" (there are: {', '.join(clusters)})",
        code="UnknownCluster",
    )


async def build_submission(
    context: TaskContext[SlurmState], template: TaskTemplate, custom: Custom, cluster: Cluster
) -> Submission:
    """
    Put together what is asked for.

    Raises:
        PermanentError: The task can never run; names the field.
        StorageUnavailableError: The inputs cannot be read at the moment.
    """
    options = read_options(custom.sbatch_config or {}, context.key, cluster)
    environment = dict(context.environment)
    if template.type == FUNCTION_TYPE:
        script = await _function_script(context, template, custom)
        return Submission(options, [STDIN], script, environment)
    await context.place_inputs()
    arguments = await context.render(custom.batch_script_args or [])
    if custom.script is None:
        if not custom.batch_script_path:
            raise _bad("a slurm task needs custom.batch_script_path or custom.script")
        return Submission(options, [custom.batch_script_path, *arguments], "", environment)
    script, bound = await _bind_inputs(context, template, custom.script)
    return Submission(options, [STDIN, *arguments], _checked(script), {**environment, **bound})


def read_options(wanted: Mapping[str, str | float | bool | None], key: str, cluster: Cluster) -> list[str]:
    """
    Write ``sbatch_config`` as options, each one word; the job is called by the key.

    A job is not requeued unless the task says so: what an attempt starts runs once.

    Raises:
        PermanentError: An option is none, or is not a task's to give.
    """
    options = [f"--job-name={key}"]
    if cluster.directory and "chdir" not in wanted:
        options.append(f"--chdir={cluster.directory}")
    if "requeue" not in wanted:
        options.append("--no-requeue")
    if "job-name" in wanted and "comment" not in wanted:
        options.append(f"--comment={_text(wanted['job-name'])}")
    for name, value in wanted.items():
        if not _OPTION.fullmatch(name) or len(name) == 1:
            raise _bad(f"custom.sbatch_config: {name!r} is no long option of sbatch")
        if name in OURS:
            raise _bad(f"custom.sbatch_config: {name} cannot be set by a task")
        if name != "job-name" and value is not False:
            options.append(f"--{name}" if value in {None, "", True} else f"--{name}={_text(value)}")
    return options


async def _function_script(context: TaskContext[SlurmState], template: TaskTemplate, custom: Custom) -> str:
    container = template.container
    if container is None:
        raise _bad("a slurm_fn task needs a container: its arguments are what is run")
    await context.place_inputs()
    command = await context.render([*container.command, *container.args])
    script = FUNCTION_SCRIPT if custom.script is None else custom.script
    return _checked(script.replace(TASK_FN, shlex.join(command)))


async def _bind_inputs(
    context: TaskContext[SlurmState], template: TaskTemplate, script: str
) -> tuple[str, dict[str, str]]:
    """Let a script read its inputs from variables, wherever it names one."""
    names = list(dict.fromkeys(found[1] or found[2] for found in _INPUT.finditer(script)))
    if not names:
        return script, {}
    literals, declared = (await context.inputs()).literals, template.interface.inputs
    bound: dict[str, str] = {}
    for name in names:
        if name not in literals:
            raise _bad(f"custom.script names the input {name}, which the task does not have")
        bound[INPUT_PREFIX + name] = _input_text(
            to_json(literals[name], declared[name].type if name in declared else None)
        )
    if sum(len(value.encode()) for value in bound.values()) > LARGEST_VARIABLES:
        raise _bad(f"the inputs that custom.script names are over {LARGEST_VARIABLES} bytes")
    if any("\0" in value for value in bound.values()):
        raise _bad("an input that custom.script names holds a zero byte")
    return _INPUT.sub(lambda found: f"${{{INPUT_PREFIX}{found[1] or found[2]}}}", script), bound


def _checked(script: str) -> str:
    if not script.startswith("#!"):
        raise _bad("custom.script must begin with #! and the path of an interpreter")
    if _ARRAY.search(script):
        raise _bad("custom.script asks for an array of jobs; one attempt is one job: use a map task")
    return script


def _text(value: str | float | bool | None) -> str:
    """Write a value as the SDK meant it: numbers come as doubles."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _input_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _bad(message: str) -> PermanentError:
    return PermanentError(message, code="BadTaskSpecification")
