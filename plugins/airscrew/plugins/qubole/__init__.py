"""
``qubole``: Hive queries of Qubole, as tasks of the type ``hive``.

The contributor document's example, worked through: a task's IDL message (``QuboleHiveJob``) comes decoded with the
start; its queries are copied into the custom state (``state``), for nobody gives the template again; and they run as
one Hive command an attempt. Nothing here MUST keep the API token anywhere but in memory.
"""

from __future__ import annotations

from airscrew.plugins.qubole.executor import QuboleExecutor
from airscrew.plugins.qubole.state import HiveState, Query

__all__ = ["HiveState", "QuboleExecutor", "Query"]
