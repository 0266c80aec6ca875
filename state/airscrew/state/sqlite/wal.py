"""
A look at SQLite's write-ahead log before SQLite takes it: how many pages it should hold.

SQLite goes on from the last whole transaction of the log and says nothing of what follows. That is right for a write
that a crash cut short, and silent about a damaged disk; so the store counts, and tells when something was dropped.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MASK = 0xFFFFFFFF


def count_frames(database: Path) -> int:
    """Count the pages in the log of a database that belong to its present round, whole or not; 0 without a log."""
    try:
        descriptor = os.open(database.with_name(f"{database.name}-wal"), os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        return _count(descriptor)
    finally:
        os.close(descriptor)


def _count(descriptor: int) -> int:
    header = os.pread(descriptor, _HEADER.size, 0)
    size = os.fstat(descriptor).st_size
    if len(header) < _HEADER.size:
        return 0
    magic, _, page, _, *salts, sum1, sum2 = _HEADER.unpack(header)
    frame = _FRAME.size + page
    if _checksum(header[:24], "<" if magic % 2 == 0 else ">") != (sum1, sum2):
        return max(1, (size - _HEADER.size) // (_FRAME.size + 4096))
    last = 0
    for number, place in enumerate(range(_HEADER.size, size - _FRAME.size + 1, frame), 1):
        if [*_FRAME.unpack(os.pread(descriptor, _FRAME.size, place))[2:4]] == salts:
            last = number
    return last


def _checksum(data: bytes, order: str) -> tuple[int, int]:
    """Sum up as SQLite does, in the byte order that the log names."""
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second
