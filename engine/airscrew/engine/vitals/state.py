"""
What is known of how an engine is, and what follows from it: pure.

Guarantees: fields are written by the engine's loop alone and read by any thread, each at once; an answer is one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version

from airscrew.engine.metrics import NO_METERS, Meters, Sample
from airscrew.engine.metrics.names import BUILD_INFO, READY, STORE_UP

STILL_SECONDS = 30.0
"""A loop that has not run for so long does not run."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    Yes or no, and why.

    Attributes:
        is_yes: Which.
        reason: One line for people.
    """

    is_yes: bool
    reason: str


@dataclass(slots=True, kw_only=True)
class Vitals:
    """
    How an engine is.

    Attributes:
        monotonic: Seconds that never go back, the same in all threads.
        beat_at: When the loop last ran.
        waits_for: What it waits for before it has begun; empty for its start alone.
        has_begun: Whether everything unfinished was taken under control.
        store_trouble: Why the store cannot be worked with at the moment; empty when it can.
        is_draining: Whether it was told to stop.
    """

    monotonic: Callable[[], float]
    beat_at: float = field(init=False)
    waits_for: str = ""
    has_begun: bool = False
    store_trouble: str = ""
    is_draining: bool = False

    def __post_init__(self) -> None:
        """Begin with a loop that runs."""
        self.beat_at = self.monotonic()

    def startup(self) -> Answer:
        """Say whether it has begun."""
        if self.has_begun:
            return Answer(True, "everything unfinished is under control")
        return Answer(False, f"not begun: {self.waits_for or 'the engine is starting'}")

    def live(self) -> Answer:
        """Say whether its loop runs."""
        silent = self.monotonic() - self.beat_at
        if silent > STILL_SECONDS:
            return Answer(False, f"the loop has not run for {silent:.0f} s")
        return Answer(True, "the loop runs")

    def ready(self) -> Answer:
        """Say whether it does its work: it has begun, its store answers, and it goes on."""
        if self.is_draining:
            return Answer(False, "draining: the engine was told to stop")
        if not self.has_begun:
            return self.startup()
        if self.store_trouble:
            return Answer(False, self.store_trouble)
        alive = self.live()
        return alive if not alive.is_yes else Answer(True, "ready")


@dataclass(slots=True, kw_only=True)
class Instruments:
    """
    What watches an engine that serves.

    Attributes:
        vitals: How it is.
        meters: Where it counts.
        looks: Tell how gauges stand; called on the engine's loop.
    """

    vitals: Vitals
    meters: Meters = NO_METERS
    looks: list[Callable[[], Iterable[Sample]]] = field(default_factory=list[Callable[[], Iterable[Sample]]])

    def samples(self) -> Iterator[Sample]:
        """Tell how everything stands, with what is known before there is an engine; called on its loop."""
        vitals = self.vitals
        yield Sample(BUILD_INFO, 1.0, (version("airscrew"),))
        yield Sample(READY, float(vitals.ready().is_yes))
        yield Sample(STORE_UP, float(vitals.has_begun and not vitals.store_trouble))
        for look in self.looks:
            yield from look()
