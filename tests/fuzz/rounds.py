"""
A round: one target is fed new inputs for some seconds, in a process of its own; what fails is written down.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from tests.fuzz.target import load
from tests.support.proof_files import ROOT

FOUND = ROOT / "build" / "fuzz"
STEP_EXAMPLES = 25
HANG_SECONDS = 60
PR_SET_PDEATHSIG = 1


@dataclass(kw_only=True)
class Round:
    """
    What some seconds of one target brought.

    Attributes:
        name: Of the target.
        seconds: How long it took.
        examples: How many inputs.
        found: For each kind of failure, how often it came.
    """

    name: str
    seconds: float = 0.0
    examples: int = 0
    found: Counter[str] = field(default_factory=Counter[str])


def die_with_parent() -> None:
    """See to it that this process ends when the one that started it is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def play(name: str, number: int, seconds: float) -> Round:
    """Feed one target new inputs for some seconds."""
    target, done, started = load(name), Round(name=name), time.monotonic()

    def one(data: bytes) -> None:
        done.examples += 1
        try:
            with limited(HANG_SECONDS):
                target.check(data)
        except Exception as error:  # noqa: BLE001 - whatever it is: it is written down, and the next one comes
            done.found[keep(name, data, error)] += 1

    chosen = settings(
        max_examples=STEP_EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for step in itertools.count():
        seed(f"{number}/{step}")(chosen(given(target.inputs)(one)))()
        done.seconds = time.monotonic() - started
        if done.seconds >= seconds:
            return done
    raise AssertionError


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in the main thread when the body takes longer, in real seconds."""

    def late(*_: object) -> None:
        raise TimeoutError(f"it hangs: more than {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def keep(name: str, data: bytes, error: Exception) -> str:
    """Write down what failed, the shortest input of each kind of failure; return the kind."""
    told = "".join(traceback.format_exception(error))
    kind = kind_of(error)
    stem = FOUND / name / hashlib.blake2b(kind.encode(), digest_size=6).hexdigest()
    stem.parent.mkdir(parents=True, exist_ok=True)
    if not stem.exists() or len(data) < stem.stat().st_size:
        stem.write_bytes(data)
        stem.with_suffix(".txt").write_text(f"{kind}\n\n{told}", errors="backslashreplace")
    return f"{kind} ({stem.relative_to(ROOT)})"


def kind_of(error: BaseException) -> str:
    """Tell failures apart by the class and the place of the innermost one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    while error.__cause__ is not None:
        error = error.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/airscrew/" in frame.filename or "/tests/" in frame.filename]
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in own[-2:]]
    return f"{type(error).__name__} at {' > '.join(places)}"
