"""
``databricks``: tasks as flytekit's Spark plugin sends them for Databricks, as one-time runs of a workspace.

A run is submitted once (its idempotency token is the attempt's key), read with others of about its time by one
request, and cancelled until Databricks confirms it. The workspace and the credential are the operator's: a task that
names another workspace is refused. Nothing here MUST send a credential to an address that a task names, or keep one
anywhere but in memory.
"""

from __future__ import annotations

from airscrew.plugins.databricks.executor import DatabricksExecutor
from airscrew.plugins.databricks.state import RunState

__all__ = ["DatabricksExecutor", "RunState"]
