"""
Counting, cheaply: a recorder of plain numbers, and a sink that keeps nothing.

Guarantees: an observation is a look-up and two additions, takes no lock and never waits; recorder and sink have one
interface. All is recorded and read on the engine's loop: nothing here is safe for another thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from typing_extensions import override

from airscrew.engine.metrics.names import Metric


class Meters(Protocol):
    """Where numbers go."""

    @property
    def are_kept(self) -> bool:
        """Whether anything is kept: what is costly to find out need not be found out for nobody."""
        ...

    def count(self, metric: Metric, *labels: str, amount: float = 1.0) -> None:
        """Add to a counter."""
        ...

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Put a value into a histogram."""
        ...


class NoMeters(Meters):
    """Keeps nothing."""

    @property
    @override
    def are_kept(self) -> bool:
        return False

    @override
    def count(self, metric: Metric, *labels: str, amount: float = 1.0) -> None:
        pass

    @override
    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        pass


NO_METERS = NoMeters()


@dataclass(frozen=True, slots=True)
class Sample:
    """
    The value of a gauge or a counter at one moment.

    Attributes:
        metric: Which.
        value: Its value.
        labels: The values of its labels, in their order.
    """

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


@dataclass(slots=True)
class Histogram:
    """
    One series of a histogram.

    Attributes:
        counts: How many values fell into each bucket, the last without a bound.
        total: Their sum.
    """

    counts: list[int]
    total: float = 0.0

    def cumulative(self, metric: Metric) -> Iterator[tuple[str, int]]:
        """Return each bucket's upper bound and how many values are not over it."""
        below = 0
        for bound, count in zip([*map(str, metric.buckets), "+Inf"], self.counts, strict=True):
            below += count
            yield bound, below


Series = tuple[Metric, tuple[str, ...]]


@dataclass(slots=True)
class Recorder(Meters):
    """
    Keeps counters and histograms.

    Attributes:
        counters: By metric and labels.
        histograms: By metric and labels.
    """

    counters: dict[Series, float] = field(default_factory=dict[Series, float])
    histograms: dict[Series, Histogram] = field(default_factory=dict[Series, Histogram])

    @property
    @override
    def are_kept(self) -> bool:
        return True

    @override
    def count(self, metric: Metric, *labels: str, amount: float = 1.0) -> None:
        series = (metric, labels)
        self.counters[series] = self.counters.get(series, 0.0) + amount

    @override
    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        histogram = self.histograms.get((metric, labels))
        if histogram is None:
            histogram = self.histograms[metric, labels] = Histogram([0] * (len(metric.buckets) + 1))
        histogram.counts[bisect_left(metric.buckets, value)] += 1
        histogram.total += value

    def copy(self) -> Recorder:
        """Return a picture of this moment, which another thread may read."""
        pictures = {series: Histogram([*one.counts], one.total) for series, one in self.histograms.items()}
        return Recorder(dict(self.counters), pictures)
