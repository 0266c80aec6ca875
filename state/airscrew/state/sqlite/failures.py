"""
What SQLite's errors mean to the store's callers: pure.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from airscrew.state.errors import CorruptStoreError, StoreError, StoreFullError, StoreUnavailableError

_FULL = {sqlite3.SQLITE_FULL}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PRIMARY = 0xFF
"""The bits of an error code that name its family."""


def translate(error: Exception, path: Path) -> StoreError:
    """
    Say what an error of SQLite or of the file system means.

    Returns:
        ``StoreFullError`` when it certainly did not happen for want of room, ``CorruptStoreError`` when the file is no
        good, else ``StoreUnavailableError``: whether a write happened is found by reading.
    """
    if isinstance(error, StoreError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    text = str(error)
    if code in _FULL or "disk is full" in text:
        return StoreFullError(f"no room for the store {path}: {text}; free some space or raise its limit")
    if code in _CORRUPT or "malformed" in text or "is not a database" in text:
        return CorruptStoreError(
            f"the store {path} cannot be read: {text}; it is left as it is: restore it from a backup or an export"
        )
    return StoreUnavailableError(f"the store {path} failed: {text or type(error).__name__}")
