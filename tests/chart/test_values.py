"""The chart's values: strict, complete, and those of the engine where they are the engine's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.support.chart import CHART, RefusedError, lint, render, template

from airscrew.engine.config import EngineSettings
from airscrew.engine.config.loading import to_settings

OWN = {"home", "store", "listen", "token_file", "health", "log", "api"}
"""Settings that the chart makes itself."""

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def leaves(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all values that a schema names."""
    for name, one in schema["properties"].items():
        if "properties" in one:
            yield from leaves(one, (*path, name))
        else:
            yield (*path, name)


def has(path: tuple[str, ...]) -> bool:
    found = VALUES
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return False
        found = found[name]
    return True


def test_every_value_that_may_be_set_stands_in_the_file_with_its_default() -> None:
    optional = {("global",), *(path for path in leaves(SCHEMA) if path[0] == "config" or path[-1] == "claims")}
    limits = {("etcd", "resources", "limits")}

    assert [path for path in leaves(SCHEMA) if not has(path) and path not in optional | limits] == []


def test_no_part_of_the_schema_takes_what_it_does_not_name() -> None:
    def open_parts(schema: dict[str, Any], path: str = "") -> Iterator[str]:
        for name, one in schema.get("properties", {}).items():
            yield from open_parts(one, f"{path}/{name}")
        if "properties" in schema and schema.get("additionalProperties") is not False:
            yield path

    assert list(open_parts(SCHEMA)) == []


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replica": 3}, "additional properties 'replica' not allowed"),
        ({"etcd": {"bundle": False}}, "at '/etcd': additional properties 'bundle' not allowed"),
        ({"config": {"drain": 3}}, "at '/config': additional properties 'drain' not allowed"),
        ({"config": {"store": "etcd://x"}}, "at '/config': additional properties 'store' not allowed"),
        ({"replicas": "three"}, "at '/replicas': got string, want integer"),
        ({"uninstall": {"tasks": "leave"}}, "at '/uninstall/tasks': value must be one of 'delete', 'keep'"),
        ({"image": {"digest": "latest"}}, "at '/image/digest': 'latest' does not match pattern"),
        ({"etcd": {"existing": {"endpoints": ["user@etcd"]}}}, "at '/etcd/existing/endpoints/0'"),
    ],
    ids=str,
)
def test_a_wrong_value_is_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(RefusedError) as error:
        template(values)

    assert named in str(error.value)
    with pytest.raises(RefusedError):
        lint(values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"etcd": {"bundled": False}}, "etcd.tls.secret is needed"),
        ({"etcd": {"bundled": False, "existing": {"tls": False}}}, "etcd.existing.endpoints is needed"),
        ({"etcd": {"existing": {"endpoints": ["etcd:2379"]}}}, "has no use with etcd.bundled"),
        (
            {"etcd": {"bundled": False, "existing": {"tls": False, "endpoints": ["e:1"], "user": "me"}}},
            "etcd.existing.password.secret is needed with etcd.existing.user",
        ),
        ({"tasks": {"clusterWide": True, "namespaces": ["a"]}}, "tasks.namespaces and tasks.clusterWide exclude"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name is needed"),
        ({"api": {"tls": {"clientCA": True}}}, "api.tls.clientCA needs api.tls.secret"),
    ],
    ids=str,
)
def test_values_that_do_not_go_together_are_told(values: dict[str, Any], told: str) -> None:
    with pytest.raises(RefusedError) as error:
        template(values)

    assert told in str(error.value)


def test_the_settings_that_may_be_set_are_those_of_the_engine() -> None:
    assert set(SCHEMA["properties"]["config"]["properties"]) == set(EngineSettings.__struct_fields__) - OWN


@pytest.mark.parametrize("values", [{}, {"api": {"enabled": False}}], ids=["with an interface", "without"])
def test_the_engine_takes_the_settings_that_the_chart_writes(values: dict[str, Any]) -> None:
    settings = to_settings(render(values).settings, "the chart")

    assert settings.store_url.startswith("etcds://airscrew-etcd.engines.svc:2379/airscrew?")
    assert settings.executors["pod"] == {"namespaces": ["engines"], "cluster_wide": False}
