"""
The configuration of ``aws-batch``.
"""

from __future__ import annotations

from collections.abc import Iterator

from airscrew.plugins.aws import AwsConfig, aws_problems

BATCH_SIZE = 100
"""So many jobs Batch tells of with one request."""


class BatchConfig(AwsConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What may be set under ``executors.aws-batch``.

    Attributes:
        job_queue: For tasks that name none.
        job_definition: A definition to use for every task, with its own image; by default one is registered an image.
        job_role: The role that containers run under, in definitions that are registered.
        execution_role: The role that starts them, likewise; Fargate wants one.
        vcpus: For tasks that ask for none.
        memory: MiB, for tasks that ask for none.
        settle: Seconds until a job that was submitted is listed for certain.
    """

    job_queue: str = ""
    job_definition: str = ""
    job_role: str = ""
    execution_role: str = ""
    vcpus: float = 1.0
    memory: int = 2048
    settle: float = 60.0


def batch_problems(config: BatchConfig) -> Iterator[str]:
    """Say what is wrong with a configuration beyond its form."""
    yield from aws_problems(config)
    for name in ("vcpus", "memory", "settle"):
        if getattr(config, name) <= 0:
            yield f"{name} must be above 0"
