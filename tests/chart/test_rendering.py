"""What the chart comes to: secrets where they belong, rights that executors declare, Pods that are held to little."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from tests.chart.combinations import COMBINATIONS
from tests.support.chart import CHART, Rendered, lint, render

from airscrew.engine.cli.app import App
from airscrew.engine.cli.root import cli

every_combination = pytest.mark.parametrize("values", COMBINATIONS.values(), ids=COMBINATIONS)


def airscrew(*words: str) -> Any:
    done = CliRunner().invoke(cli, words, obj=App(environment={"HOME": "/nonexistent"}))
    assert done.exit_code == 0, done.output
    return list(yaml.safe_load_all(done.stdout))


def triples(rules: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@every_combination
def test_it_is_clean_and_renders(values: dict[str, Any]) -> None:
    lint(values)
    found = [
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in render(values).manifests
    ]

    assert len(found) == len(set(found))


@every_combination
def test_pods_are_held_to_the_restricted_standard_and_write_nowhere_but_to_volumes(values: dict[str, Any]) -> None:
    for owner, spec in render(values).pods:
        assert spec["securityContext"]["runAsNonRoot"], owner
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, owner
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, owner


@every_combination
def test_a_secret_is_in_no_config_map_and_no_argument(values: dict[str, Any]) -> None:
    rendered = render(values)
    secrets = [
        value
        for each in rendered.manifests
        if each["kind"] == "Secret"
        for name, value in each["data"].items()
        if not name.endswith(".crt")
    ]
    others = json.dumps([each for each in rendered.manifests if each["kind"] != "Secret"])

    assert [value for value in secrets if value in others] == []
    assert "BEGIN " not in others
    assert "password=" not in others


def test_the_role_is_what_the_executors_declare() -> None:
    role, _ = airscrew("rbac", "render", "--executor", "pod", "-n", "engines")

    assert triples(render().one("Role")["rules"]) == triples(role["rules"])


def test_the_rights_in_the_chart_are_current() -> None:
    """Made by ``airscrew rbac list > charts/airscrew/files/rights.yaml``."""
    assert airscrew("rbac", "list") == [yaml.safe_load((CHART / "files" / "rights.yaml").read_text())]


def test_a_cluster_role_is_there_by_choice_alone() -> None:
    by_default, by_choice = render(), render(COMBINATIONS["the whole cluster"])

    assert not by_default.kinds & {"ClusterRole", "ClusterRoleBinding"}
    assert by_default.one("Role")["metadata"]["namespace"] == "engines"
    assert triples(by_choice.one("ClusterRole", "engines-airscrew")["rules"]) == triples(
        by_default.one("Role")["rules"]
    )
    assert by_choice.settings["executors"]["pod"] == {"namespaces": [], "cluster_wide": True}


def test_each_namespace_of_tasks_has_a_role_bound_to_the_controllers() -> None:
    rendered = render(COMBINATIONS["two namespaces"])

    bound = {
        (each["metadata"]["namespace"], each["subjects"][0]["namespace"], each["subjects"][0]["name"])
        for each in rendered.manifests
        if each["kind"] == "RoleBinding" and each["metadata"]["name"] == "engines-airscrew"
    }
    assert bound == {("one", "engines", "airscrew"), ("two", "engines", "airscrew")}
    assert rendered.settings["executors"]["pod"]["namespaces"] == ["one", "two"]


def test_without_the_executor_there_are_no_rights() -> None:
    rendered = render(COMBINATIONS["without Pods"])

    assert ("Role", "airscrew") not in rendered.names
    assert "pod" not in (rendered.settings["executors"] or {})


def test_the_probes_are_the_engines_own() -> None:
    container = render().controller

    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/startupz", "liveness": "/livez", "readiness": "/readyz"}
    assert {"name": "health", "containerPort": 10254} in container["ports"]
    assert render().settings["health"] == {"address": "0.0.0.0:10254"}


def test_an_upgrade_has_no_gap() -> None:
    spec = render().one("Deployment")["spec"]
    drain = to_seconds(render().settings.get("drain_seconds", 30))

    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    stop = spec["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > drain + stop


def to_seconds(value: object) -> float:
    assert isinstance(value, int | float)
    return value


@pytest.mark.parametrize(
    "change", [{"logLevel": "debug"}, {"config": {"workers": 3}}, {"tasks": {"namespaces": ["a"]}}]
)
def test_a_change_of_the_settings_makes_new_pods(change: dict[str, Any]) -> None:
    def annotation(rendered: Rendered) -> str:
        found = rendered.one("Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        assert isinstance(found, str)
        return found

    assert annotation(render()) == annotation(render({"replicas": 5}))
    assert annotation(render()) != annotation(render(change))


def test_an_existing_etcd_is_told_in_one_line_with_its_password_in_a_file() -> None:
    rendered = render(COMBINATIONS["an existing etcd with a password"])

    assert rendered.settings["store"] == (
        "etcds://etcd-0.etcd:2379,etcd-1.etcd:2379/team/airscrew?ca=/etc/airscrew/etcd/ca.crt"
        "&cert=/etc/airscrew/etcd/client.crt&key=/etc/airscrew/etcd/client.key"
        "&user=engine&password-file=/etc/airscrew/etcd-password/password"
    )
    assert "StatefulSet" not in rendered.kinds
    volumes = rendered.one("Deployment")["spec"]["template"]["spec"]["volumes"]
    secret = next(volume["secret"] for volume in volumes if volume["name"] == "etcd-password")
    assert (secret["secretName"], secret["items"]) == ("etcd-user", [{"key": "secret", "path": "password"}])


def test_an_image_is_named_by_its_digest_before_its_tag() -> None:
    assert re.fullmatch(r"example.com/airscrew@sha256:0{64}", render(COMBINATIONS["by digest"]).controller["image"])
    assert render().controller["image"] == "airscrew:0.1.0"


def test_two_releases_in_a_namespace_share_nothing() -> None:
    first, second = render(release="first"), render(release="second")

    assert not set(first.names) & set(second.names)


def test_the_uninstallation_asks_for_what_was_chosen() -> None:
    def words(values: dict[str, Any]) -> list[str]:
        job = render(values).one("Job", "airscrew-release")
        found = job["spec"]["template"]["spec"]["containers"][0]["args"]
        assert isinstance(found, list)
        return found

    assert words({}) == ["release", "--wait=300s", "--delete"]
    assert words(COMBINATIONS["kept at the end"]) == ["release", "--wait=300s"]
    assert words(COMBINATIONS["forgotten at the end"]) == ["release", "--wait=60s", "--delete", "--forget"]
    assert "Job" not in render(COMBINATIONS["without an end"]).kinds
