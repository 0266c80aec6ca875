"""
``connector``: tasks of Flyte's connectors (agents), over gRPC or in a process of their own.

A connector service says which task types it runs; each of them becomes a task type of this executor. Both
generations of the services are spoken: ``flyteidl`` (flytekit's connectors) and ``flyteidl2`` (Flyte 2's). Nothing here
MUST know a particular connector, and nothing of an SDK is imported into the engine's process: connectors "in process"
run in a supervised child that speaks the same service.
"""

from __future__ import annotations

from airscrew.plugins.connector.executor import ConnectorExecutor
from airscrew.plugins.connector.state import ConnectorState

__all__ = ["ConnectorExecutor", "ConnectorState"]
