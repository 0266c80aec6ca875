"""
``athena``: queries as flytekit's Athena and Hive tasks send them, run by Amazon Athena.

A query is started once (its token is the attempt's key), read with forty-nine others by one request, and stopped until
Athena confirms it. Inputs are bound as parameters where Athena takes them, and are never read as SQL elsewhere.
Nothing here MUST keep a credential anywhere but in memory.
"""

from __future__ import annotations

from airscrew.plugins.athena.executor import AthenaExecutor
from airscrew.plugins.athena.state import AthenaState

__all__ = ["AthenaExecutor", "AthenaState"]
