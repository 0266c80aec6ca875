"""
The store in a file, over SQLite: no server, no set-up, nothing lost.

Here is all that knows SQLite, threads and files. Nothing here MUST know what the keys mean.
"""

from __future__ import annotations

from airscrew.state.sqlite.database import Seam, SqliteOptions
from airscrew.state.sqlite.store import SqliteStore

__all__ = ["Seam", "SqliteOptions", "SqliteStore"]
