"""
What Slurm's commands say: jobs out of their lines, and what their complaints mean. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airscrew.plugins.slurm.commands import ACCOUNTED, LISTED
from airscrew.plugins.slurm.shell import Finished
from airscrew.plugins.slurm.state import JobView
from airscrew.plugins.webapi import (
    DeniedError,
    ProviderError,
    RefusedError,
    ThrottledError,
    UnclearError,
    UnreachableError,
)

_SHOWN = 300
_JOB_ID = re.compile(r"(\d+)(;[\w.-]+)?")
_NOT_THERE = frozenset({126, 127})
_TIMED_OUT = frozenset({124, 137})
_UNSAID = frozenset({"", "None", "(null)", "N/A"})

_NOTHING_ARRIVED = ("connect failure", "Munge encode failed", "Unable to process configuration file", "fetch config")
_BUSY = ("MaxSubmitJob", "temporarily unable to accept", "Resource temporarily unavailable", "Rate limit exceeded")
_NO_RIGHTS = ("Invalid authentication credential", "Access/permission denied", "User not found on host")
_UNCLEAR = (
    "Socket timed out",
    "Zero Bytes were transmitted",
    "Unexpected message received",
    "Communication",
    "standby mode",
    "Unable to contact slurm controller",
    "Protocol authentication error",
    "database",
)


@dataclass(frozen=True, slots=True)
class Row:
    """
    A job in a list.

    Attributes:
        id: Its number.
        key: Its name.
        view: How it stands.
    """

    id: str
    key: str
    view: JobView


def read_submitted(done: Finished) -> str:
    """
    Read the number of a job that was made.

    Raises:
        ProviderError: It was not, or nobody knows.
    """
    if done.code:
        raise complaint("sbatch", done)
    found = _JOB_ID.fullmatch(done.out.strip())
    if found is None:
        raise UnclearError(f"sbatch answered {_shown(done.out)!r}")
    return found[1]


def read_listed(done: Finished) -> list[Row]:
    """
    Read what ``squeue`` lists; nothing when it knows none of the jobs that it was asked for.

    Raises:
        ProviderError: It tells nothing.
    """
    if done.code:
        if "Invalid job id specified" in done.err:
            return []
        raise complaint("squeue", done)
    rows: list[Row] = []
    for line in done.out.splitlines():
        job_id, key, status, ended, reason, output = _cells("squeue", line, len(LISTED))
        view = JobView(status=status, reason=_said(reason), output=_said(output.removesuffix("|")))
        rows.append(Row(job_id, key, _ended(view, ended)))
    return rows


def read_accounted(done: Finished) -> list[Row]:
    """
    Read what ``sacct`` lists.

    Raises:
        ProviderError: It tells nothing.
    """
    if done.code:
        raise complaint("sacct", done)
    rows: list[Row] = []
    for line in done.out.splitlines():
        job_id, key, status, ended, reason = _cells("sacct", line, len(ACCOUNTED))
        word, _, more = status.partition(" ")  # as "CANCELLED by 1000"
        rows.append(Row(job_id, key, _ended(JobView(status=word, reason=_said(more or reason)), ended)))
    return rows


def complaint(command: str, done: Finished) -> ProviderError:
    """Say what a command that failed has done: nothing for certain, or nobody knows."""
    told = f"{command}: {_shown(_plain(done.err or done.out)) or f'exit code {done.code}'}"
    if done.code in _NOT_THERE and "No such file" in done.err and "env:" in done.err:
        return UnreachableError(f"{told}; name the folder of Slurm's commands as executors.slurm.clusters.<name>.path")
    for texts, kind in ((_NOTHING_ARRIVED, UnreachableError), (_BUSY, ThrottledError), (_NO_RIGHTS, DeniedError)):
        if any(text in done.err for text in texts):
            return kind(told)
    if done.code in _TIMED_OUT or done.code < 0 or not done.err.strip() or any(text in done.err for text in _UNCLEAR):
        return UnclearError(told)
    return RefusedError(told)


def _cells(command: str, line: str, count: int) -> list[str]:
    cells = line.split("|", count - 1)
    if len(cells) != count or not cells[0].isdecimal():
        raise UnclearError(f"{command} answered {_shown(line)!r}")
    return cells


def _ended(view: JobView, told: str) -> JobView:
    """Take in what a job ended with: ``3:0`` in the accounting, the status of wait(2) in the queue."""
    code, colon, signal = told.partition(":")
    if not code.isdecimal() or (colon and not signal.isdecimal()):
        return view
    number = int(code)
    exit_code, ended_by = (number, int(signal)) if colon else (number >> 8, number & 0x7F)
    return JobView(status=view.status, reason=view.reason, output=view.output, exit_code=exit_code, signal=ended_by)


def _said(text: str) -> str:
    return "" if text.strip() in _UNSAID else text.strip()


def _plain(err: str) -> str:
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    return "; ".join(lines)


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
