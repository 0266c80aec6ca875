"""
``trino``: queries of a Trino cluster, as tasks of the types ``hive``, ``presto`` and ``trino``.

A query is begun in two steps, which makes its start safe: the first request registers it and tells an address, and it
runs once that address is fetched; that is done only after the address is stored. Each answer tells the next address;
one is fetched only when it is stored, so that an engine that restarts goes on where it was. Inputs are never read as
SQL. Nothing here MUST send a credential to an address that an answer tells: its path is taken, and no more.
"""

from __future__ import annotations

from airscrew.plugins.trino.executor import TrinoExecutor
from airscrew.plugins.trino.state import QueryState

__all__ = ["QueryState", "TrinoExecutor"]
