"""
The way to a real Slurm over a real OpenSSH.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.integration.slurm.slurm_kit import begin, environment_of, reaches, script, ssh_config
from tests.support.slurm import Slurm
from tests.support.sshd import Sshd

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import NotStarted
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase

pytestmark = reaches


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


@pytest.mark.shows("outage")
async def test_a_server_that_comes_back_is_connected_to_again(slurm: Slurm, sshd: Sshd) -> None:
    async with environment_of(ssh_config(slurm, sshd), slurm_key=sshd.private_key) as environment:
        attempt = begin(environment, script("sleep 2"))
        await attempt.start_resolved()
        sshd.break_off()
        status = await attempt.run(limit_seconds=60)

    assert status.phase is Phase.SUCCESS


@pytest.mark.shows("restart")
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
