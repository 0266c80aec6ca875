"""Dashboard and alerts: queries that Prometheus takes, for this release alone."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from tests.chart.combinations import COMBINATIONS
from tests.support.chart import Rendered, render
from tests.support.go_modules import build


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
