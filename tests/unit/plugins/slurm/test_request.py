"""
What becomes of a task: words of a command, each one word, and a script in which inputs are values.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.literal_maps import literals

from airscrew.engine.errors import PermanentError
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.template import Container, TaskTemplate, make_template
from airscrew.plugins.slurm import SlurmExecutor
from airscrew.plugins.slurm.commands import cancel, list_jobs, submit
from airscrew.plugins.slurm.config import Cluster
from airscrew.plugins.slurm.request import (
    LARGEST_VARIABLES,
    OURS,
    Submission,
    build_submission,
    cluster_of,
    read_custom,
    read_options,
)

HERE = Cluster(directory="/scratch", path="/opt/slurm/bin/", environment={"SLURM_CONF": "/etc/s.conf"}, timeout=7)
EVIL = "$(id); 'x' \"y\" --wrap=z\n| `w`"


@asynccontextmanager
async def context_of(task: TaskTemplate, **inputs: str) -> AsyncIterator[Any]:
    config = {"clusters": {"c": {}}}
    async with ExecutorEnvironment(SlurmExecutor, config=config) as environment:
        given = literals(**{name: (value, str) for name, value in inputs.items()})
        yield environment.attempt(task, given).context()


async def submission_of(task: TaskTemplate, **inputs: str) -> Submission:
    async with context_of(task, **inputs) as context:
        return await build_submission(context, task, read_custom(task), HERE)


def script(text: str, *names: str, **custom: object) -> TaskTemplate:
    return make_template("slurm", inputs=dict.fromkeys(names, str), custom={"script": text, **custom})


def test_a_job_is_called_by_its_key_and_its_own_name_becomes_a_comment() -> None:
    options = read_options({"job-name": "mine", "time": 5.0, "requeue": False, "exclusive": True, "mem": ""}, "k", HERE)

    assert options == ["--job-name=k", "--chdir=/scratch", "--comment=mine", "--time=5", "--exclusive", "--mem"]


def test_what_runs_once_is_not_requeued_unless_the_task_says_so() -> None:
    assert "--no-requeue" in read_options({}, "k", HERE)
    assert read_options({"requeue": True, "chdir": "/w"}, "k", HERE) == ["--job-name=k", "--requeue", "--chdir=/w"]


def test_an_option_s_value_is_one_word_whatever_is_in_it() -> None:
    assert f"--output={EVIL}" in read_options({"output": EVIL}, "k", HERE)


@pytest.mark.parametrize("name", ["-x", "a b", "x=y", "p", "", "wrap;id"])
def test_what_is_no_long_option_is_refused(name: str) -> None:
    with pytest.raises(PermanentError, match="no long option of sbatch"):
        read_options({name: "1"}, "k", HERE)


@pytest.mark.parametrize("name", sorted(OURS))
def test_options_that_change_what_sbatch_answers_are_refused(name: str) -> None:
    with pytest.raises(PermanentError, match=f"{name} cannot be set by a task"):
        read_options({name: "1"}, "k", HERE)


async def test_an_input_in_a_script_becomes_a_variable() -> None:
    made = await submission_of(
        script("#!/bin/sh\necho {inputs.x} {{ .inputs.y }} {inputs.x}\n", "x", "y"), x=EVIL, y="b"
    )

    assert made.script == "#!/bin/sh\necho ${AIRSCREW_INPUT_x} ${AIRSCREW_INPUT_y} ${AIRSCREW_INPUT_x}\n"
    assert made.environment["AIRSCREW_INPUT_x"] == EVIL
    assert made.environment["AIRSCREW_INPUT_y"] == "b"
    assert made.words == ["/dev/stdin"]


@pytest.mark.parametrize(
    ("text", "inputs", "words"),
    [
        ("#!/bin/sh\n{inputs.lost}\n", {}, "names the input lost"),
        ("#!/bin/sh\n{inputs.x}\n", {"x": "a\0b"}, "zero byte"),
        ("#!/bin/sh\n{inputs.x}\n", {"x": "a" * (LARGEST_VARIABLES + 1)}, "are over"),
        ("echo hi\n", {}, "must begin with #!"),
        ("#!/bin/sh\n#SBATCH --array=1-3\n", {}, "array of jobs"),
        ("#!/bin/sh\n#SBATCH -N1 -a 1-3\n", {}, "array of jobs"),
    ],
)
async def test_a_script_that_can_never_run_is_refused(text: str, inputs: dict[str, str], words: str) -> None:
    with pytest.raises(PermanentError, match=words):
        await submission_of(script(text, *inputs), **inputs)


async def test_a_function_s_command_is_quoted_word_by_word() -> None:
    target = Container(image="i", command=("pyflyte-execute",), args=("--x", EVIL, "{{.inputs.n}}"))
    task = make_template("slurm_fn", inputs={"n": str}, target=target, custom={"script": "#!/bin/sh\n{task.fn}\n"})

    made = await submission_of(task, n="a b")

    quoted = EVIL.replace("'", "'\"'\"'")
    assert made.script == f"#!/bin/sh\npyflyte-execute --x '{quoted}' 'a b'\n"


async def test_a_task_without_a_script_is_told_what_it_needs() -> None:
    with pytest.raises(PermanentError, match=r"batch_script_path or custom\.script"):
        await submission_of(make_template("slurm", custom={}))
    with pytest.raises(PermanentError, match="needs a container"):
        await submission_of(make_template("slurm_fn", custom={}))


def test_a_member_of_another_kind_names_the_field() -> None:
    with pytest.raises(PermanentError, match=r"\$.batch_script_args"):
        read_custom(make_template("slurm", custom={"batch_script_args": "x"}))


CLUSTERS = {"a": Cluster(host="login", user="u"), "b": Cluster(host="login", user="v"), "c": Cluster()}


@pytest.mark.parametrize(
    ("ssh", "name"),
    [
        ({"host": "a"}, "a"),
        ({"host": "c"}, "c"),
        ({"host": "login"}, "a"),
        ({"host": "login", "username": "v"}, "b"),
        ({"host": "login", "username": ""}, "a"),
    ],
)
def test_a_task_means_a_cluster_by_name_or_by_host_and_user(ssh: dict[str, str], name: str) -> None:
    assert cluster_of(read_custom(make_template("slurm", custom={"ssh_config": ssh})), CLUSTERS) == name


def test_a_task_that_names_none_means_the_only_one() -> None:
    nothing = read_custom(make_template("slurm", custom={}))

    assert cluster_of(nothing, {"only": Cluster()}) == "only"
    with pytest.raises(PermanentError, match="no host at all"):
        cluster_of(nothing, CLUSTERS)


def test_a_cluster_that_is_not_configured_lists_those_that_are() -> None:
    custom = read_custom(make_template("slurm", custom={"ssh_config": {"host": "x", "username": "u"}}))

    with pytest.raises(PermanentError, match=r"names u@x.*\(there are: a, b, c\)"):
        cluster_of(custom, CLUSTERS)


def test_every_command_ends_by_itself_and_has_its_variables() -> None:
    begin = ["timeout", "--kill-after=2", "7", "env", "LC_ALL=C.UTF-8"]

    assert submit(HERE, ["--job-name=k"], ["/dev/stdin", "-x"], {"A": "1"}) == [
        *(*begin, "A=1", "SLURM_CONF=/etc/s.conf", "/opt/slurm/bin/sbatch"),
        *("--parsable", "--job-name=k", "--", "/dev/stdin", "-x"),
    ]
    assert cancel(HERE, "7", "k") == [*begin, "SLURM_CONF=/etc/s.conf", "/opt/slurm/bin/scancel", "--name=k", "7"]
    assert "--jobs=1,2" in list_jobs(HERE, ["1", "2"])
    assert list_jobs(Cluster(), ["1"])[5] == "squeue"
