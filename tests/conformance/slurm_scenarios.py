"""
What the conformance kit has to know of ``slurm``: over played commands, for faults and virtual time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.conformance.service_scenarios import ServiceScenarios
from tests.support.played_slurm import PlayedSlurm
from typing_extensions import override

from airscrew.engine.clock import LoopClock
from airscrew.engine.executor import Executor
from airscrew.engine.testing.conformance import Job
from airscrew.engine.testing.job_service import FakeJobService
from airscrew.idl.template import make_template
from airscrew.plugins.slurm import SlurmExecutor

FOREVER = 1_000_000


def script_task(script: str, **custom: object) -> Job:
    return Job(make_template("slurm", custom={"script": f"#!/bin/sh\n{script}\n", **custom}))


@dataclass
class SlurmScenarios(ServiceScenarios):
    """Jobs of a played Slurm, with or without accounting."""

    accounting: bool = True
    service: FakeJobService = field(init=False)

    def __post_init__(self) -> None:
        cluster = {"interval": self.period, "batch": self.batch, "accounting": self.accounting}
        self.config = {"clusters": {"played": cluster}}
        self.service = FakeJobService(clock=LoopClock(), idempotent=False, slow_seconds=45.0)

    def make_executor(self) -> Executor[Any]:
        return SlurmExecutor(lambda cluster, vault: PlayedSlurm(self.service))

    @override
    def succeeding(self) -> Job:
        return script_task("sleep 20")

    @override
    def failing(self) -> Job:
        return script_task("sleep 5; exit 3")

    @override
    def endless(self) -> Job:
        return script_task(f"sleep {FOREVER}")

    @override
    def refused(self) -> Job:
        return script_task("true", sbatch_config={"partition": "nosuch"})

    @override
    def why_not_twice(self) -> str:
        return "sbatch sends its request once; a cluster has no keys that would tell two apart"
