"""A real API server takes what the chart renders, as it is and unchanged: nothing misspelt, nothing left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart.combinations import COMBINATIONS
from tests.support.chart import helm, render
from tests.support.control_plane import ControlPlane
from tests.support.deployment import wait_until
from tests.support.go_modules import module_folder

CRDS = "example/prometheus-operator-crd"
RESTRICTED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """A control plane that knows the kinds of the Prometheus operator."""
    folder = module_folder("monitoring", "github.com/prometheus-operator/prometheus-operator") / CRDS
    for name in ("servicemonitors", "prometheusrules"):
        file = folder / f"monitoring.coreos.com_{name}.yaml"
        control_plane.kubectl("apply", "--server-side", "-f", str(file))
        crd = f"crd/{name}.monitoring.coreos.com"
        wait_until(partial(is_established, control_plane, crd), f"{crd} is established")
    return control_plane


def is_established(plane: ControlPlane, crd: str) -> bool:
    """Look once: ``kubectl wait`` fails at a CRD that has no conditions yet."""
    found = json.loads(plane.kubectl("get", crd, "-o", "json"))["status"].get("conditions") or []
    return ("Established", "True") in {(one["type"], one["status"]) for one in found}


@pytest.fixture(scope="module")
def namespaces(plane: ControlPlane) -> Iterator[dict[str, str]]:
    """Namespaces for the ones that the combinations name; the release's own holds Pods to the restricted standard."""
    with plane.namespace() as own, plane.namespace() as one, plane.namespace() as two:
        path = f"/api/v1/namespaces/{own}"
        assert plane.call("PATCH", path, RESTRICTED, "application/merge-patch+json")[0] == 200
        yield {"own": own, "one": one, "two": two}


def placed(values: Any, namespaces: dict[str, str]) -> Any:
    """Name the test's own namespaces instead."""
    text = json.dumps(values)
    for name in ("one", "two"):
        text = text.replace(f'"{name}"', f'"{namespaces[name]}"')
    return json.loads(text)


@pytest.mark.parametrize("values", COMBINATIONS.values(), ids=COMBINATIONS)
def test_the_api_server_takes_every_manifest(
    values: dict[str, Any], plane: ControlPlane, namespaces: dict[str, str]
) -> None:
    rendered = render(placed(values, namespaces), namespace=namespaces["own"])

    told = plane.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(rendered.manifests)
    )

    assert len(told.splitlines()) == len(rendered.manifests)
    assert all(line.endswith("created (server dry run)") for line in told.splitlines()), told


@pytest.mark.parametrize("values", COMBINATIONS.values(), ids=COMBINATIONS)
def test_the_restricted_standard_takes_every_pod(
    values: dict[str, Any], plane: ControlPlane, namespaces: dict[str, str]
) -> None:
    """A Deployment is only warned of; its Pods would be refused, and here they are asked for themselves."""
    rendered = render(placed(values, namespaces), namespace=namespaces["own"])
    path = f"/api/v1/namespaces/{namespaces['own']}"
    for owner, spec in rendered.pods:
        pod = {"metadata": {"generateName": "pod-"}, "spec": {**spec, "serviceAccountName": "default"}}
        status, answer = plane.call("POST", f"{path}/pods?dryRun=All&fieldValidation=Strict", pod)
        assert status == 201, (owner, answer)


def test_what_helm_makes_once_is_kept_by_an_upgrade(plane: ControlPlane, namespaces: dict[str, str]) -> None:
    own = namespaces["own"]
    chart = Path(__file__).resolve().parents[2] / "charts" / "airscrew"
    words = ("airscrew", chart, "--kubeconfig", plane.kubeconfig, "-n", own)

    def seen() -> tuple[dict[str, Any], str]:
        secrets = plane.get(f"/api/v1/namespaces/{own}/secrets")["items"]
        deployment = plane.get(f"/apis/apps/v1/namespaces/{own}/deployments/airscrew")
        made = {one["metadata"]["name"]: one["data"] for one in secrets if one["type"] == "Opaque"}
        return made, deployment["spec"]["template"]["metadata"]["annotations"]["checksum/secrets"]

    try:
        helm("install", *words)
        first = seen()
        helm("upgrade", *words, "--set", "logLevel=debug")

        assert set(first[0]) == {"airscrew-etcd", "airscrew-api", "airscrew-token"}
        assert seen() == first
    finally:
        helm("uninstall", "airscrew", "--kubeconfig", plane.kubeconfig, "-n", own, "--no-hooks")


def test_a_secret_of_somebody_elses_that_changes_makes_new_pods(
    plane: ControlPlane, namespaces: dict[str, str]
) -> None:
    own = namespaces["own"]
    chart = Path(__file__).resolve().parents[2] / "charts" / "airscrew"
    secrets = f"/api/v1/namespaces/{own}/secrets"
    words = ("keyed", chart, "--kubeconfig", plane.kubeconfig, "-n", own, "--set", "api.token.secret=mine")
    plane.call("POST", secrets, {"metadata": {"name": "mine"}, "stringData": {"token": "first"}})

    def checksum() -> str:
        deployment = plane.get(f"/apis/apps/v1/namespaces/{own}/deployments/keyed-airscrew")
        found = deployment["spec"]["template"]["metadata"]["annotations"]["checksum/secrets"]
        assert isinstance(found, str)
        return found

    try:
        helm("install", *words)
        first = checksum()
        helm("upgrade", *words)
        assert checksum() == first

        plane.call("PATCH", f"{secrets}/mine", {"stringData": {"token": "2nd"}}, "application/merge-patch+json")
        helm("upgrade", *words)
        assert checksum() != first
    finally:
        helm("uninstall", "keyed", "--kubeconfig", plane.kubeconfig, "-n", own, "--no-hooks")
