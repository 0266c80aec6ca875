"""
A real Slurm that is away, or whose answers are lost or spoilt on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.slurm.slurm_kit import begin, environment_of, local_config, reaches, script
from tests.support.slurm import Slurm
from typing_extensions import override

from airscrew.engine.executor import NotStarted
from airscrew.idl.phase import Phase
from airscrew.plugins.slurm import Finished, Shell
from airscrew.plugins.slurm.shell import LocalShell
from airscrew.plugins.webapi import UnclearError

pytestmark = reaches


@pytest.mark.shows("outage")
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


@dataclass
class SpoiltShell(Shell):
    """
    A way to the cluster on which answers are lost or spoilt; the commands are run.

    Attributes:
        losing: So many of the next answers of ``sbatch`` are lost.
        garbage: What all others answer instead of their own words; empty for those.
    """

    inner: Shell
    losing: int = 0
    garbage: str = ""

    @override
    async def run(self, words: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Finished:
        done = await self.inner.run(words, stdin=stdin, timeout=timeout)
        if "sbatch" in words and self.losing:
            self.losing -= 1
            raise UnclearError("the connection broke")
        return Finished(0, self.garbage) if self.garbage and "sbatch" not in words else done

    @override
    async def close(self) -> None:
        await self.inner.close()


@pytest.mark.shows("lost reply")
async def test_a_job_whose_number_was_lost_is_found_by_its_name(slurm: Slurm, tmp_path: Path) -> None:
    shell = SpoiltShell(LocalShell(), losing=1)
    async with environment_of(local_config(slurm), tmp_path, lambda cluster, vault: shell) as environment:
        attempt = begin(environment, script("sleep 1"))
        with pytest.raises(UnclearError, match="the connection broke"):
            await attempt.start()
        await attempt.start_resolved(unknown=True)
        await attempt.check()  # who was found is not due for long

        status = await attempt.run(limit_seconds=60)

    assert status.phase is Phase.SUCCESS, status.reason
    assert not shell.losing
    assert len(slurm.jobs(attempt.key)) == 1


@pytest.mark.shows("garbage")
async def test_garbage_is_told_and_believed_by_nobody(slurm: Slurm, tmp_path: Path) -> None:
    shell = SpoiltShell(LocalShell())
    async with environment_of(local_config(slurm), tmp_path, lambda cluster, vault: shell) as environment:
        attempt = begin(environment, script("sleep 1"))
        await attempt.start_resolved()
        shell.garbage = "the words of a proxy\n"
        async with asyncio.timeout(60):
            while "answered 'the words of a proxy" not in (await attempt.check()).reason:
                await attempt.pause(0.2)
        shell.garbage = ""

        status = await attempt.run(limit_seconds=60)

    assert status.phase is Phase.SUCCESS, status.reason
    assert len(slurm.jobs(attempt.key)) == 1
