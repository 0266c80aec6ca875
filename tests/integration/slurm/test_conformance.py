"""
The conformance kit over ``slurm`` on a real Slurm.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.integration.slurm.slurm_kit import local_config, script
from tests.support.slurm import Slurm
from typing_extensions import override

from airscrew.engine.testing.conformance import CHECKS, Check, Job, Outcome, Scenarios
from airscrew.plugins.slurm import SlurmExecutor


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
