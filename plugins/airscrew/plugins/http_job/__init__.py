"""
``http_job``: jobs of any HTTP service, declared by configuration alone.

A service is told by its endpoints, where its answers hold id, status and outputs, and which phase each status is; see
``config`` and ``examples/job_service``. Its jobs are made once (idempotency key, or found by it), read in batches in
the background, and stopped until they are gone. Nothing here MUST know a particular service.
"""

from __future__ import annotations

from airscrew.plugins.http_job.executor import HttpJobExecutor
from airscrew.plugins.http_job.state import HttpJobState
from airscrew.plugins.http_transport import Reply, Transport

__all__ = ["HttpJobExecutor", "HttpJobState", "Reply", "Transport"]
