"""``airscrew rbac``: roles of what executors declare, and of nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from tests.unit.engine.cli.conftest import Result

from airscrew.plugins.kubernetes.pod.executor import PodExecutor

Airscrew = Callable[..., Result]

POD_RULES = [
    {"apiGroups": [right.group], "resources": list(right.resources), "verbs": list(right.verbs)}
    for right in PodExecutor.cluster_rights
]


def documents(text: str) -> list[Any]:
    return list(yaml.safe_load_all(text))


def with_pods(tmp_path: Path) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text("executors: {pod: {}}")
    return file


def test_a_role_and_its_binding_are_written_for_each_namespace(airscrew: Airscrew, tmp_path: Path) -> None:
    made = airscrew("rbac", "render", "--config", with_pods(tmp_path), "-n", "one", "-n", "two")

    found = documents(made.out)
    assert [(one["kind"], one["metadata"]["namespace"]) for one in found] == [
        ("Role", "one"),
        ("RoleBinding", "one"),
        ("Role", "two"),
        ("RoleBinding", "two"),
    ]
    assert found[0]["rules"] == POD_RULES
    assert found[3]["subjects"] == [{"kind": "ServiceAccount", "name": "airscrew", "namespace": "one"}]
    assert found[3]["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "airscrew"}


def test_a_cluster_role_has_no_namespace(airscrew: Airscrew) -> None:
    words = ("--cluster-wide", "--executor", "pod", "--name", "engine", "--account-namespace", "ops", "-o", "json")
    found = json.loads(airscrew("rbac", "render", *words).out)["items"]

    assert [(one["kind"], one["metadata"]) for one in found] == [
        ("ClusterRole", {"name": "engine"}),
        ("ClusterRoleBinding", {"name": "engine"}),
    ]
    assert found[1]["subjects"] == [{"kind": "ServiceAccount", "name": "engine", "namespace": "ops"}]


def test_executors_that_are_not_enabled_get_no_rights(airscrew: Airscrew) -> None:
    found = documents(airscrew("rbac", "render").out)

    assert found[0]["rules"] == []


def test_a_role_is_of_the_cluster_or_of_namespaces(airscrew: Airscrew) -> None:
    made = airscrew("rbac", "render", "--cluster-wide", "-n", "one")

    assert (made.code, made.err) == (2, "airscrew: error: --namespace and --cluster-wide exclude each other\n")


def test_an_unknown_executor_is_named(airscrew: Airscrew) -> None:
    made = airscrew("rbac", "render", "--executor", "pods")

    assert made.code == 2
    assert made.err.startswith("airscrew: error: no executor is called 'pods'")


def test_all_that_is_declared_is_listed_by_executor(airscrew: Airscrew) -> None:
    assert yaml.safe_load(airscrew("rbac", "list").out) == {"pod": POD_RULES}
