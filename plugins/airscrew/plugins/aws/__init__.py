"""
What executors of Amazon's services have in common: one way to make a request, and what its errors mean.

Requests are built, signed and read by ``aiobotocore`` from Amazon's own models, and sent by the project's transport:
once each, never repeated below. Credentials come from where every Amazon client looks for them (environment, workload
identity, container, machine), or from the installation's secrets. Nothing here MUST know a particular service, and
nothing here may import ``aiobotocore`` before a client is opened.
"""

from __future__ import annotations

from airscrew.plugins.aws.client import AwsClient
from airscrew.plugins.aws.config import AwsConfig, Credentials, aws_problems, secrets_of

__all__ = [
    "AwsClient",
    "AwsConfig",
    "Credentials",
    "aws_problems",
    "secrets_of",
]
