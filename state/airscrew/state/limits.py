"""
What every store refuses before it looks at its data: pure, and the same for all of them.

A transaction is refused here alone, so that one bad request never fails the others of its group.
"""

from __future__ import annotations

from collections.abc import Sequence

from airscrew.state.errors import TooLargeError
from airscrew.state.store import (
    MAX_TXN_BYTES,
    MAX_TXN_OPERATIONS,
    MAX_VALUE_BYTES,
    Compare,
    Delete,
    DeleteRange,
    Operation,
    Put,
)


def check_transaction(compares: Sequence[Compare], operations: Sequence[Operation]) -> None:
    """
    Refuse a transaction that no store takes.

    Raises:
        TooLargeError: It is over a limit of the port.
        ValueError: A key is empty or no Unicode text, or is put and touched again.
    """
    if len(compares) > MAX_TXN_OPERATIONS or len(operations) > MAX_TXN_OPERATIONS:
        raise TooLargeError(
            f"a transaction of {len(compares)} compares and {len(operations)} operations is over the limit "
            f"of {MAX_TXN_OPERATIONS} each: split it"
        )
    for compare in compares:
        check_key(compare.key)
    size = 0
    for operation in operations:
        if type(operation) is Put:
            size += _put_size(operation)
        elif type(operation) is Delete:
            check_key(operation.key)
        elif type(operation) is DeleteRange:
            check_bounds(operation.start, operation.end)
    if size > MAX_TXN_BYTES:
        raise TooLargeError(f"a transaction of {size} bytes is over the limit of {MAX_TXN_BYTES}: split it")
    if len(operations) > 1:
        _check_touched_once(operations)


def check_key(key: str) -> None:
    """Refuse a key that is empty or cannot be encoded, as a lone surrogate cannot."""
    if not key:
        raise ValueError("a key is empty")
    if not key.isascii():
        key.encode()


def check_bounds(start: str, end: str) -> None:
    """Refuse the bounds of a range that cannot be encoded; they may be empty."""
    if not (start.isascii() and end.isascii()):
        start.encode()
        end.encode()


def check_range(start: str, end: str, limit: int) -> None:
    """Refuse a range that cannot be read."""
    check_bounds(start, end)
    if limit < 1:
        raise ValueError(f"a range is read with a limit of 1 or more, not {limit}")


def _put_size(put: Put) -> int:
    """Check one put and return what it adds to its transaction."""
    check_key(put.key)
    if type(put.value) is not bytes:
        raise TypeError(f"the value of {put.key!r} is {type(put.value).__name__}, not bytes")
    size = len(put.value)
    if size > MAX_VALUE_BYTES:
        raise TooLargeError(f"the value of {put.key!r} has {size} bytes; the limit is {MAX_VALUE_BYTES}")
    return size + len(put.key)


def _check_touched_once(operations: Sequence[Operation]) -> None:
    """Refuse a key that is put and then put or deleted again: the order of writes must not matter."""
    puts: set[str] = set()
    deletes: list[str] = []
    ranges: list[DeleteRange] = []
    for operation in operations:
        if type(operation) is Put:
            if operation.key in puts:
                raise ValueError(f"the transaction puts {operation.key!r} twice")
            puts.add(operation.key)
        elif type(operation) is Delete:
            deletes.append(operation.key)
        elif type(operation) is DeleteRange:
            ranges.append(operation)
    for key in deletes:
        if key in puts:
            raise ValueError(f"the transaction puts and deletes {key!r}")
    for key in puts if ranges else ():
        if any(span.start <= key < span.end for span in ranges):
            raise ValueError(f"the transaction puts {key!r} and deletes a range that holds it")
