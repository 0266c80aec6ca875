"""
What is kept of a job of Slurm, and what its commands say of one.
"""

from __future__ import annotations

import msgspec

from airscrew.plugins.webapi import JobState


class JobView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    How a job stands, as a command told it.

    Attributes:
        status: Slurm's word for it, as ``PENDING``; empty when nothing was told.
        reason: Slurm's reason, empty for none.
        exit_code: What its script ended with.
        signal: The signal that ended it; 0 for none.
        output: The file with what it prints, on the cluster.
    """

    status: str = ""
    reason: str = ""
    exit_code: int = 0
    signal: int = 0
    output: str = ""


class SlurmState(JobState, frozen=True, kw_only=True, omit_defaults=True):
    """
    A job of Slurm.

    Attributes:
        cluster: What the configuration calls its cluster.
        key: The job's name: the attempt's key. A job of the same number and another name is not ours.
        view: What was told of it last.
        output_prefix: Where it writes outputs; empty when there is nothing to read.
        has_outputs: Whether the task declares outputs.
    """

    cluster: str
    key: str
    view: JobView = JobView()
    output_prefix: str = ""
    has_outputs: bool = False
