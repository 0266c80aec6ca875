"""Dashboard and alerts: queries that Prometheus takes, for this release alone."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
from tests.chart.combinations import COMBINATIONS
from tests.support.chart import Rendered, render
from tests.support.go_modules import build

from airscrew.engine.metrics.names import METRICS


@pytest.fixture(scope="module")
def rendered() -> Rendered:
    return render(COMBINATIONS["watched"])


@pytest.fixture(scope="module")
def alerts(rendered: Rendered) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rendered.one("PrometheusRule")["spec"]["groups"][0]["rules"]
    return found


@pytest.fixture(scope="module")
def panels(rendered: Rendered) -> list[dict[str, Any]]:
    dashboard = json.loads(rendered.one("ConfigMap", "airscrew-dashboard")["data"]["airscrew.json"])
    found: list[dict[str, Any]] = dashboard["panels"]
    return found


def queries(panels: list[dict[str, Any]]) -> list[str]:
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def test_prometheus_takes_every_query(alerts: list[dict[str, Any]], panels: list[dict[str, Any]]) -> None:
    lines = [alert["expr"] for alert in alerts] + queries(panels)

    done = subprocess.run(
        [build("promql") / "promql"], input="\n".join(lines), capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")


def named(lines: list[str]) -> set[str]:
    return {name for line in lines for name in re.findall(r"\bairscrew_\w+", line)}


def test_queries_use_the_names_of_the_engines_metrics_and_no_other(
    alerts: list[dict[str, Any]], panels: list[dict[str, Any]]
) -> None:
    known = {name for metric in METRICS for name in metric.series}

    assert named([alert["expr"] for alert in alerts] + queries(panels)) <= known


def test_the_dashboard_shows_every_metric_of_the_engine(panels: list[dict[str, Any]]) -> None:
    shown = named(queries(panels))

    assert [metric.name for metric in METRICS if not shown & set(metric.series)] == []


def test_labels_that_queries_group_by_are_the_metrics_own(
    alerts: list[dict[str, Any]], panels: list[dict[str, Any]]
) -> None:
    own = {label for metric in METRICS for label in metric.labels}
    lines = [alert["expr"] for alert in alerts] + queries(panels)
    grouped = {name for line in lines for group in re.findall(r"by \(([^)]*)\)", line) for name in group.split(", ")}

    assert grouped - own <= {"le", "pod"}


def test_a_query_asks_of_one_release_alone(alerts: list[dict[str, Any]], panels: list[dict[str, Any]]) -> None:
    of_alerts = [alert["expr"] for alert in alerts]

    assert [one for one in of_alerts if 'namespace="engines",service="airscrew"' not in one] == []
    assert [one for one in queries(panels) if 'namespace="$namespace",service="$service"' not in one] == []


def test_an_alert_says_what_is_the_matter_and_how_bad_it_is(alerts: list[dict[str, Any]]) -> None:
    for alert in alerts:
        assert alert["labels"]["severity"] in {"warning", "critical"}, alert
        assert all(alert["annotations"].values()), alert


def test_panels_do_not_lie_on_one_another(panels: list[dict[str, Any]]) -> None:
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in panels}) == len(panels)
