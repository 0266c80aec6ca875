"""
``slurm`` on a real Slurm, by its commands on this machine and over a real SSH.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import slurm as slurm_support
from tests.support import sshd as sshd_support
from tests.support.literal_maps import literals
from tests.support.slurm import Slurm
from tests.support.sshd import Sshd
from typing_extensions import override

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import NotStarted, OutputsAt
from airscrew.engine.testing.conformance import CHECKS, Check, Job, Outcome, Scenarios
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.idl.template import Container, TaskTemplate, make_template
from airscrew.plugins.slurm import SlurmExecutor

FASTER = {"interval": 0.3, "timeout": 15, "settle": 16}
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    missing = slurm_support.needed()
    if missing:
        pytest.fail(missing)
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def sshd(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    missing = sshd_support.needed()
    if missing:
        pytest.fail(missing)
    server = Sshd(tmp_path_factory.mktemp("sshd"), {"HOME": str(tmp_path_factory.mktemp("home"))})
    server.start()
    try:
        yield server
    finally:
        server.stop()


def local_config(slurm: Slurm) -> dict[str, Any]:
    return {"environment": slurm.environment, "directory": str(slurm.folder), **FASTER}


def ssh_config(slurm: Slurm, sshd: Sshd) -> dict[str, Any]:
    reached = {"host": "127.0.0.1", "port": sshd.port, "known_hosts": str(sshd.known_hosts)}
    return {**local_config(slurm), **reached, "private_key": {"secret": "slurm-key"}}


Environment = ExecutorEnvironment[Any]


def environment_of(cluster: dict[str, Any], root: Path | None = None, **secrets: str) -> Environment:
    return ExecutorEnvironment(
        SlurmExecutor,
        config={"clusters": {"c": cluster}},
        secrets={name.replace("_", "-"): value for name, value in secrets.items()},
        root=f"file://{root}" if root else "memory://test",
    )


@pytest.fixture(params=["local", "ssh"])
def opened(
    request: pytest.FixtureRequest, slurm: Slurm, tmp_path: Path
) -> Callable[[], AbstractAsyncContextManager[Environment]]:
    if request.param == "local":
        return lambda: environment_of(local_config(slurm), tmp_path)
    sshd: Sshd = request.getfixturevalue("sshd")
    return lambda: environment_of(ssh_config(slurm, sshd), tmp_path, slurm_key=sshd.private_key)


def text_of(path: Path) -> str:
    return path.read_text()


Opened = Callable[[], AbstractAsyncContextManager[Environment]]


_numbers = itertools.count()


def begin(environment: Environment, task: TaskTemplate, inputs: Any = None) -> Any:
    """An attempt of its own: names are keys, and one cluster serves all tests."""
    return environment.attempt(task, inputs, name=f"t{next(_numbers)}")


def script(text: str, **custom: object) -> TaskTemplate:
    return make_template("slurm", custom={"script": f"#!/bin/bash\n{text}\n", **custom})


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


async def test_an_exit_code_is_the_user_s_failure_and_is_named(opened: Opened) -> None:
    async with opened() as environment:
        status = await begin(environment, script("exit 3")).run(limit_seconds=60)

    assert status.phase is Phase.RETRYABLE_FAILURE
    assert status.error is not None
    assert (status.error.code, status.error.kind) == ("JobFailed", ErrorKind.USER)
    assert "with exit code 3" in status.error.message


async def test_a_signal_is_named(opened: Opened) -> None:
    async with opened() as environment:
        status = await begin(environment, script("kill -9 $$")).run(limit_seconds=60)

    assert status.error is not None
    assert "by signal 9" in status.error.message


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


async def wait_for(is_so: Callable[[], bool], slurm: Slurm, key: str) -> None:
    import asyncio

    async with asyncio.timeout(60):
        while not (slurm.jobs(key) and slurm.jobs(key)[0][1] in ENDED and is_so()):  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def test_a_job_that_loses_its_node_is_the_system_s_failure(slurm: Slurm, tmp_path: Path) -> None:
    async with environment_of(local_config(slurm), tmp_path) as environment:
        attempt = begin(environment, script("sleep 600"))
        await attempt.run(until=Phase.RUNNING, limit_seconds=60)
        try:
            slurm.run("scontrol", "update", "NodeName=n1", "State=DOWN", "Reason=test")
            status = await attempt.run(limit_seconds=60)
        finally:
            slurm.revive_node()

    assert status.error is not None
    assert (status.error.code, status.error.kind) == ("NodeFailed", ErrorKind.SYSTEM)


async def test_a_controller_that_is_away_costs_no_job_and_is_told(slurm: Slurm, tmp_path: Path) -> None:
    async with environment_of(local_config(slurm), tmp_path) as environment:
        attempt = begin(environment, script("sleep 2"))
        await attempt.start_resolved()
        slurm.controller.stop()
        try:
            answer = await begin(environment, script("true")).start()
        finally:
            slurm.start_controller()
        status = await attempt.run(limit_seconds=120)

    assert isinstance(answer, NotStarted)
    assert "Unable to contact slurm controller" in answer.reason
    assert status.phase is Phase.SUCCESS
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


async def test_a_host_that_is_not_known_is_not_talked_to(slurm: Slurm, sshd: Sshd, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    config = {**ssh_config(slurm, sshd), "known_hosts": str(empty)}
    async with environment_of(config, slurm_key=sshd.private_key) as environment:
        answer = await begin(environment, script("true")).start()

    assert isinstance(answer, NotStarted)
    assert "Host key is not trusted" in answer.reason


async def test_a_key_that_does_not_let_us_in_is_the_system_s_failure(slurm: Slurm, sshd: Sshd, tmp_path: Path) -> None:
    other = Sshd(tmp_path, {})
    other.make_key("user")
    async with environment_of(ssh_config(slurm, sshd), slurm_key=other.private_key) as environment:
        with pytest.raises(PermanentError) as refused:
            await begin(environment, script("true")).start()

    assert (refused.value.code, refused.value.kind) == ("AccessDenied", ErrorKind.SYSTEM)


async def test_a_server_that_comes_back_is_connected_to_again(slurm: Slurm, sshd: Sshd) -> None:
    async with environment_of(ssh_config(slurm, sshd), slurm_key=sshd.private_key) as environment:
        attempt = begin(environment, script("sleep 2"))
        await attempt.start_resolved()
        sshd.break_off()
        status = await attempt.run(limit_seconds=60)

    assert status.phase is Phase.SUCCESS


@dataclass
class RealScenarios(Scenarios):
    """Jobs of the real cluster, which obeys no virtual time and no wish for faults."""

    slurm: Slurm
    has_virtual_time = False
    limit_seconds = 60.0

    def __post_init__(self) -> None:
        self.config = {"clusters": {"c": local_config(self.slurm)}}

    @override
    def succeeding(self) -> Job:
        return Job(script("sleep 1"))

    @override
    def failing(self) -> Job:
        return Job(script("exit 1"))

    @override
    def endless(self) -> Job:
        return Job(script("sleep 600"))

    @override
    def refused(self) -> Job:
        return Job(script("true", sbatch_config={"partition": "nosuch"}))

    @override
    async def live(self, key: str) -> int:
        return len(self.slurm.run("squeue", "-h", f"--name={key}").splitlines())

    @override
    async def created(self, key: str) -> int:
        seen = self.slurm.run("squeue", "-h", "--states=all", f"--name={key}", "-o", "%i").split()
        return len({*seen, *(job_id for job_id, _ in self.slurm.jobs(key))})

    @override
    async def delete_externally(self, key: str) -> None:
        self.slurm.run("scancel", f"--name={key}")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
async def test_it_conforms_on_a_real_cluster(check: Check, slurm: Slurm) -> None:
    scenarios = RealScenarios(slurm)
    named = Check(f"{check.id}-real", check.body)

    result = await named.run(SlurmExecutor, scenarios)

    if result.outcome is Outcome.SKIPPED:
        pytest.skip(result.reason)
    assert result.outcome is Outcome.PASSED, result.reason


def test_an_engine_that_is_killed_goes_on_with_the_same_job(slurm: Slurm, sshd: Sshd, tmp_path: Path) -> None:
    config, task = tmp_path / "config.yaml", tmp_path / "task.yaml"
    custom = {"sbatch_config": {"job-name": f"killed-{tmp_path.name}"}}
    config.write_text(yaml.safe_dump({"executors": {"slurm": {"clusters": {"c": ssh_config(slurm, sshd)}}}}))
    task.write_text(
        yaml.safe_dump({"type": "slurm", "id": {"name": "t"}, "custom": {**custom, "script": "#!/bin/bash\nsleep 4\n"}})
    )
    variables = {**os.environ, "_FSEC_SLURM-KEY": sshd.private_key}
    command = [sys.executable, "-m", "airscrew.engine.cli", "--home", str(tmp_path / "home"), "--config", str(config)]
    with subprocess.Popen(
        [*command, "run", str(task)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables
    ) as process:
        assert process.stderr is not None
        lines: list[str] = []
        while "Running" not in (line := process.stderr.readline()):
            lines.append(line)
            assert process.poll() is None, "".join(lines)
        process.kill()

    done = subprocess.run(
        [*command, "run", "--resume"], capture_output=True, text=True, env=variables, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    comment = f"killed-{tmp_path.name}"
    states = slurm.run("squeue", "-h", "--states=all", "-o", "%k|%T").splitlines()
    assert [line for line in states if line.startswith(comment)] == [f"{comment}|COMPLETED"]
    secret = sshd.private_key.splitlines()[2]
    assert secret not in done.stdout + done.stderr + "".join(lines)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert secret.encode() not in kept
