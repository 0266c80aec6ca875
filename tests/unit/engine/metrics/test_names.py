"""The table of metrics: well formed, bounded, and what the documentation shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from airscrew.engine.metrics.names import LABELS, METRICS, Metric, label_table, table

DOCS = Path(__file__).parents[4] / "docs" / "metrics.md"


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_named_as_prometheus_wants_it(metric: Metric) -> None:
    assert re.fullmatch(r"airscrew_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") is (metric.kind == "counter")
    assert (metric.unit == "seconds") is ("_seconds" in metric.name)
    assert bool(metric.buckets) is (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert metric.help.endswith(".")


def test_names_are_there_once_and_each_label_says_what_bounds_it() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS) > 30
    assert {label for metric in METRICS for label in metric.labels} == set(LABELS)


def test_the_series_are_what_a_query_writes() -> None:
    by_name = {metric.name: metric for metric in METRICS}

    assert by_name["airscrew_turn_seconds"].series == (
        "airscrew_turn_seconds_bucket",
        "airscrew_turn_seconds_sum",
        "airscrew_turn_seconds_count",
    )
    assert by_name["airscrew_queue_depth"].series == ("airscrew_queue_depth",)


def test_the_documentation_shows_exactly_these() -> None:
    text = DOCS.read_text()

    assert table() in text
    assert label_table() in text


def test_the_table_needs_no_library() -> None:
    code = "import sys, airscrew.engine.metrics.names; sys.exit('prometheus_client' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
