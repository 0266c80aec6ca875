"""
Jobs of ``slurm`` on a real Slurm, by its commands on this machine and over a real SSH.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.slurm.slurm_kit import (
    Opened,
    begin,
    environment_of,
    local_config,
    reaches,
    script,
    text_of,
    wait_for,
)
from tests.support.literal_maps import literals
from tests.support.slurm import Slurm

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import OutputsAt
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.idl.template import Container, TaskTemplate, make_template

pytestmark = reaches


@pytest.mark.shows("start", "poll", "succeed")
async def test_a_script_runs_and_its_output_is_shown(opened: Opened, slurm: Slurm) -> None:
    async with opened() as environment:
        attempt = begin(environment, script("echo hello; sleep 1"))

        status = await attempt.run(limit_seconds=60)

    assert status.phase is Phase.SUCCESS
    assert text_of(slurm.folder / f"slurm-{attempt.state.id}.out") == "hello\n"
    assert [link.name for link in status.info.logs] == ["Output"]
    assert [job_id for job_id, _ in slurm.jobs(attempt.key)] == [attempt.state.id]


async def test_a_script_on_the_cluster_gets_its_arguments_as_they_are(
    opened: Opened, slurm: Slurm, tmp_path: Path
) -> None:
    there, told = tmp_path / "there.sh", tmp_path / "told"
    there.write_text('#!/bin/bash\nprintf "%s\\n" "$@" > ' + str(told) + "\n")
    evil = f"$(touch {tmp_path}/evil); '\" --wrap=x"
    custom = {"batch_script_path": str(there), "batch_script_args": ["a b", "{{.inputs.x}}", "-x"]}
    task = make_template("slurm", inputs={"x": str}, custom=custom)
    async with opened() as environment:
        status = await begin(environment, task, literals(x=(evil, str))).run(limit_seconds=60)

    assert status.phase is Phase.SUCCESS
    assert told.read_text().splitlines() == ["a b", evil, "-x"]
    assert not (tmp_path / "evil").exists()


async def test_an_input_in_a_script_is_a_value_and_never_a_command(opened: Opened, tmp_path: Path) -> None:
    told = tmp_path / "told"
    evil = f'"; touch {tmp_path}/evil; $(touch {tmp_path}/evil) `touch {tmp_path}/evil`'
    task = make_template(
        "slurm",
        inputs={"x": str},
        custom={
            "script": f'#!/bin/bash\nprintf "%s" "{{inputs.x}}" > {told}\nprintf %s {{{{.inputs.x}}}} >/dev/null\n'
        },
    )
    async with opened() as environment:
        status = await begin(environment, task, literals(x=(evil, str))).run(limit_seconds=60)

    assert status.phase is Phase.SUCCESS
    assert told.read_text() == evil
    assert not (tmp_path / "evil").exists()


async def test_options_reach_sbatch_as_one_word_each(opened: Opened, slurm: Slurm, tmp_path: Path) -> None:
    options = {"job-name": "my $(id) job", "time": 5.0, "mem": "64", "output": f"{tmp_path}/out put.txt"}
    async with opened() as environment:
        attempt = begin(environment, script("echo said", sbatch_config=options))
        await attempt.run(limit_seconds=60)

    told = slurm.run("squeue", "-h", "--states=all", "-j", attempt.state.id, "-o", "%l|%m|%k").strip()
    assert told == "5:00|64M|my $(id) job"
    assert (tmp_path / "out put.txt").read_text() == "said\n"


@pytest.mark.shows("kill")
async def test_a_killed_job_is_cancelled_at_slurm(opened: Opened, slurm: Slurm) -> None:
    async with opened() as environment:
        attempt = begin(environment, script("sleep 600"))
        await attempt.run(until=Phase.RUNNING, limit_seconds=60)

        await attempt.kill_until_gone(limit_seconds=60)

    assert slurm.jobs(attempt.key) == [(attempt.state.id, "CANCELLED")]


async def test_what_sbatch_refuses_is_the_user_s_error_and_makes_no_job(opened: Opened, slurm: Slurm) -> None:
    async with opened() as environment:
        for name, value in (("partition", "nosuch"), ("mem", "9999999"), ("no-such-option", "1")):
            attempt = begin(environment, script("true", sbatch_config={name: value}))
            with pytest.raises(PermanentError) as refused:
                await attempt.start()

            assert refused.value.kind is ErrorKind.USER
            assert {state for _, state in slurm.jobs(attempt.key)} <= {"FAILED"}, "what the accounting keeps of it"


@pytest.mark.shows("restart")
async def test_a_job_that_was_forgotten_by_the_controller_is_known_to_the_accounting(
    opened: Opened, slurm: Slurm
) -> None:
    async with opened() as environment:
        attempt = begin(environment, script("exit 4"))
        await attempt.start_unrecorded()
        await wait_for(
            lambda: slurm.run("squeue", "-h", "--states=all", f"--name={attempt.key}") == "", slurm, attempt.key
        )

        await environment.restart()
        await attempt.start_resolved(unknown=True)
        status = await attempt.run(limit_seconds=60)

    assert status.error is not None
    assert "with exit code 4" in status.error.message
    assert len(slurm.jobs(attempt.key)) == 1


def function_task(code: str) -> TaskTemplate:
    """What flytekit writes for a function, with another program than its own."""
    arguments = ("-c", code, "{{.outputPrefix}}")
    target = Container(image="none", command=(sys.executable,), args=arguments)
    custom = {"ssh_config": {"host": "c"}, "sbatch_config": {}, "script": "#!/bin/bash\nset -e\n{task.fn}\n"}
    return make_template("slurm_fn", outputs={"o0": int}, target=target, custom=custom)


async def test_a_function_s_outputs_are_where_they_belong(opened: Opened) -> None:
    place = "p = pathlib.Path(sys.argv[1].removeprefix('file://')); p.mkdir(parents=True, exist_ok=True)"
    code = f"import pathlib, sys; {place}"
    async with opened() as environment:
        attempt = begin(environment, function_task(f"{code}; (p/'outputs.pb').write_bytes(b'')"))
        status = await attempt.run(limit_seconds=60)

    assert status.error is None, status.error
    assert isinstance(status.outputs, OutputsAt)
    assert text_of(Path(status.outputs.prefix.removeprefix("file://"), "outputs.pb")) == ""


async def test_the_engine_s_own_variables_do_not_reach_jobs(slurm: Slurm, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("_FSEC_GROUP_KEY", "s3cr3t-v4lue")
    told = tmp_path / "told"
    async with environment_of(local_config(slurm), tmp_path) as environment:
        await begin(environment, script(f"env > {told}")).run(limit_seconds=60)

    assert "SLURM_JOB_ID" in told.read_text()
    assert "s3cr3t-v4lue" not in told.read_text()
