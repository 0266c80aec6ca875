"""
``aws-batch``: containers as flytekit's AWS Batch tasks send them, run as jobs of AWS Batch.

A job carries the attempt's key as its name, by which a start whose answer was lost is found again; up to a hundred are
read by one request, and a job is stopped until Batch confirms it.
Nothing here MUST start a job that does not carry that name.
"""

from __future__ import annotations

from airscrew.plugins.aws_batch.executor import AwsBatchExecutor
from airscrew.plugins.aws_batch.state import BatchState

__all__ = ["AwsBatchExecutor", "BatchState"]
