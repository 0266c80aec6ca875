"""
A target: where bytes come in from outside, real bytes to begin with, and what must hold whatever comes.

The targets are ordinary Hypothesis tests, some hundreds of examples in ``make test``; ``python -m tests.fuzz`` runs
them for as long as it is told. What once failed lies as a file below ``corpus/<target>`` and is tried in every run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import override

CORPUS = Path(__file__).parent / "corpus"


def names() -> list[str]:
    """Name every target."""
    modules = {file.stem.removeprefix("test_") for file in Path(__file__).parent.glob("test_*.py")}
    return sorted(modules - {"corpus"})


def load(name: str) -> Target:
    """Find a target by its name."""
    found = import_module(f"tests.fuzz.test_{name}").TARGET
    assert isinstance(found, Target)
    return found


@dataclass(frozen=True, kw_only=True)
class Target:
    """
    One way in.

    Attributes:
        name: Of its module and of its folder in the corpus.
        inputs: What comes in.
        check: Feeds it to the real entry; fails when something happens that must not.
        examples: How many of them are a test.
    """

    name: str
    inputs: st.SearchStrategy[bytes]
    check: Callable[[bytes], None]
    examples: int = 200

    def fuzzed(self, test: Callable[[bytes], None]) -> Callable[[], None]:
        """Make a test of the target; the size of what mutations make is nothing to warn of."""
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
        chosen = settings(max_examples=self.examples, deadline=None, suppress_health_check=checks)
        return chosen(given(self.inputs)(test))


class UnforeseenError(AssertionError):
    """Something was logged that only a defect logs."""


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[logging.LogRecord] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record)


@contextmanager
def nothing_unforeseen() -> Iterator[None]:
    """
    Fail when the engine, or the loop that it runs on, logs an error meanwhile.

    Walls catch what nobody foresaw, so that the others go on; here that counts as a defect too.
    """
    listener = _Listener()
    loggers = [logging.getLogger(name) for name in ("airscrew", "asyncio")]
    for logger in loggers:
        logger.addHandler(listener)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(listener)
    if listener.heard:
        first = listener.heard[0]
        error = first.exc_info[1] if first.exc_info else None
        raise UnforeseenError(f"{first.name}: {first.getMessage()}: {error!r}") from error
