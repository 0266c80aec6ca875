"""
One real Slurm for all tests here, and an OpenSSH before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.slurm.slurm_kit import Opened, environment_of, local_config, ssh_config
from tests.support.slurm import Slurm, running_slurm
from tests.support.sshd import Sshd, running_sshd


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with running_slurm(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd"), {"HOME": str(tmp_path_factory.mktemp("home"))}) as server:
        yield server


@pytest.fixture(params=["local", "ssh"])
def opened(request: pytest.FixtureRequest, slurm: Slurm, tmp_path: Path) -> Opened:
    if request.param == "local":
        return lambda: environment_of(local_config(slurm), tmp_path)
    sshd: Sshd = request.getfixturevalue("sshd")
    return lambda: environment_of(ssh_config(slurm, sshd), tmp_path, slurm_key=sshd.private_key)
