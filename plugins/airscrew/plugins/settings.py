"""
How an executor reads its part of the configuration: into a struct, with one line that names what is wrong and where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import msgspec

from airscrew.idl.errors import UsageError

ConfigT = TypeVar("ConfigT")


def read_settings(
    executor: str, raw: Mapping[str, object], kind: type[ConfigT], problems: Callable[[ConfigT], Iterable[str]]
) -> ConfigT:
    """
    Read and check an executor's configuration.

    Args:
        executor: Its id.
        raw: What stands below ``executors.<id>``.
        kind: What it is read as.
        problems: Says what is wrong with it beyond its form, each beginning with the key; the first one is told.

    Raises:
        UsageError: One line that names what is wrong and where.
    """
    try:
        config = msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        raise UsageError(f"executors.{executor}{path.rstrip('`')}: {problem}") from None
    for problem in problems(config):
        raise UsageError(f"executors.{executor}.{problem}")
    return config
