"""
The numbers in Prometheus' text form; the one door to ``prometheus-client``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from airscrew.engine.metrics.meters import Recorder, Sample
from airscrew.engine.metrics.names import METRICS, Metric
from airscrew.idl.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client import Metric as Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def check_installed() -> None:
    """
    See whether metrics can be shown.

    Raises:
        UsageError: ``prometheus-client`` is missing; says how to get it.
    """
    try:
        import_module("prometheus_client")
    except ImportError as error:
        raise UsageError("metrics need prometheus-client: pip install 'airscrew[metrics]'") from error


def render(recorder: Recorder, samples: Sequence[Sample], *, process: bool = True) -> bytes:
    """
    Write all that there is to tell.

    Args:
        recorder: What was counted.
        samples: How the gauges stand, and counters that somebody else keeps.
        process: Whether the process's own figures are told too: memory, processor time, open files.

    Raises:
        UsageError: ``prometheus-client`` is missing.
        ValueError: A label is missing or too much.
    """
    check_installed()
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    if process:
        ProcessCollector(registry=registry)
    registry.register(_Collector(list(families(recorder, samples))))
    return generate_latest(registry)


def families(recorder: Recorder, samples: Iterable[Sample]) -> Iterator[Family]:
    """Return what there is by metric, in the order of the table; one that was never touched is left out."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    by_metric = _by_metric(recorder, samples)
    for metric in METRICS:
        if metric.kind == "histogram":
            histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for (one, labels), series in list(recorder.histograms.items()):
                if one is metric:
                    histogram.add_metric(_checked(metric, labels), list(series.cumulative(metric)), series.total)
            if histogram.samples:
                yield histogram
        elif by_metric[metric]:
            make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = make(metric.name, metric.help, labels=metric.labels)
            for labels, value in by_metric[metric].items():
                family.add_metric(_checked(metric, labels), value)
            yield family


def _by_metric(recorder: Recorder, samples: Iterable[Sample]) -> dict[Metric, dict[tuple[str, ...], float]]:
    found: dict[Metric, dict[tuple[str, ...], float]] = defaultdict(dict)
    for (metric, labels), value in recorder.counters.items():
        found[metric][labels] = value
    for sample in samples:
        found[sample.metric][sample.labels] = sample.value
    return found


def _checked(metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} has the labels {metric.labels} and was given {labels}")
    return labels


class _Collector:
    """Gives the registry what was gathered already."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families
