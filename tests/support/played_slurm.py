"""
Slurm's commands played over the fake job service: for faults and virtual time that a real Slurm does not give.

The words that it answers with are those of Slurm 22.05, as ``tests/integration/slurm`` meets them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from airscrew.engine.testing.job_service import FakeJobService
from airscrew.plugins.slurm import Finished, Shell

STATUS = {
    "queued": "PENDING",
    "running": "RUNNING",
    "succeeded": "COMPLETED",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
}
TROUBLE = {
    429: "sbatch: error: AssocMaxSubmitJobLimit\n"
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS"
    " policy (job submit limit, user's size and/or time limits)",
    503: "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
    500: "slurm_load_jobs error: Socket timed out on send/recv operation",
}
BAD_PARTITION = (
    "sbatch: error: invalid partition specified: nosuch\n"
    "sbatch: error: Batch job submission failed: Invalid partition name specified"
)


@dataclass
class PlayedSlurm(Shell):
    """A cluster whose jobs are those of the service; a script's ``sleep`` and ``exit`` say what becomes of its job."""

    service: FakeJobService

    @override
    async def run(self, words: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Finished:
        command, options = command_of(words)
        try:
            return await self._run(command, options, stdin.decode(), timeout)
        except ConnectionRefusedError:
            return _failed(f"{command}: error: Unable to contact slurm controller (connect failure)")
        except TimeoutError:
            return Finished(124, "")
        except ConnectionResetError:
            return _failed(f"{command}: error: Zero Bytes were transmitted or received")

    async def _run(self, command: str, options: Sequence[str], script: str, timeout: float) -> Finished:
        if command == "sbatch":
            return await self._submit(options, script, timeout)
        if command == "scancel":
            reply = await self._ask("DELETE", f"/jobs/job-{options[-1]}", None, timeout)
            return Finished(0, "") if reply.status in {200, 404} else _failed(TROUBLE[reply.status])
        wanted = value_of(options, "--jobs")
        named = value_of(options, "--name")
        ids = ",".join(f"job-{number}" for number in wanted.split(","))
        reply = await self._ask("GET", f"/jobs?ids={ids}" if wanted else f"/jobs?key={named}", None, timeout)
        if reply.status != 200:
            return _failed(TROUBLE[reply.status])
        try:
            jobs = json.loads(reply.body)["jobs"]
        except ValueError:
            return Finished(0, reply.body.decode(errors="replace"))
        if command == "squeue" and wanted and "," not in wanted and not jobs:
            return _failed("slurm_load_jobs error: Invalid job id specified")
        return Finished(0, "".join(_line(command, job) for job in jobs))

    async def _submit(self, options: Sequence[str], script: str, timeout: float) -> Finished:
        if "--partition=nosuch" in options:
            return _failed(BAD_PARTITION)
        slept, failed = re.search(r"sleep (\d+)", script), re.search(r"exit ([1-9]\d*)", script)
        body = {
            "key": value_of(options, "--job-name"),
            "seconds": float(slept[1]) if slept else 0.0,
            "fail": failed[1] if failed else "",
        }
        reply = await self._ask("POST", "/jobs", body, timeout)
        if reply.status not in {200, 201}:
            return _failed(TROUBLE[reply.status])
        try:
            return Finished(0, json.loads(reply.body)["id"].removeprefix("job-") + "\n")
        except ValueError:
            return Finished(0, reply.body.decode(errors="replace"))

    async def _ask(self, method: str, path: str, body: object, timeout: float) -> Any:
        raw = json.dumps(body).encode()
        return await self.service.request(method, f"http://slurm.test{path}", headers={}, body=raw, timeout=timeout)

    @override
    async def close(self) -> None:
        return


def command_of(words: Sequence[str]) -> tuple[str, list[str]]:
    """Take the limit and the variables off a command line."""
    assert words[0] == "timeout", f"nothing ends this command: {words}"
    rest = list(words[words.index("env") + 1 :])
    while "=" in rest[0]:
        rest.pop(0)
    return rest[0], rest[1:]


def value_of(options: Sequence[str], name: str) -> str:
    """Return an option's value; empty when it is not there."""
    return next((option.partition("=")[2] for option in options if option.startswith(f"{name}=")), "")


def _line(command: str, job: dict[str, Any]) -> str:
    code = int(job.get("message") or 0)
    number, status = job["id"].removeprefix("job-"), STATUS[job["status"]]
    if command == "sacct":
        by = " by 1000" if status == "CANCELLED" else ""
        return f"{number}|{job['key']}|{status}{by}|{code}:0|None\n"
    reason = "NonZeroExitCode" if code else "None"
    return f"{number}|{job['key']}|{status}|{code << 8}|{reason}|/scratch/slurm-{number}.out|\n"


def _failed(err: str) -> Finished:
    return Finished(1, "", f"{err}\n")
