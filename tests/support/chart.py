"""
The chart under real Helm: rendered, linted, and its manifests by kind and name.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from tests.support.control_plane import VERSION
from tests.support.go_modules import CannotBuildError
from tests.support.helm import find_helm

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "airscrew"
NAMESPACE = "engines"

Manifest = dict[str, Any]
Values = Mapping[str, object]


class RefusedError(Exception):
    """Helm refused; the message is what it said."""


@dataclass(frozen=True)
class Rendered:
    """What the chart comes to."""

    manifests: Sequence[Manifest]

    def one(self, kind: str, name: str = "airscrew") -> Manifest:
        """Return the one of that kind and name."""
        found = [each for each in self.manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)]
        assert len(found) == 1, f"{kind}/{name}: {len(found)} of {self.names}"
        return found[0]

    @property
    def names(self) -> list[tuple[str, str]]:
        """The kind and name of each."""
        return [(each["kind"], each["metadata"]["name"]) for each in self.manifests]

    @property
    def kinds(self) -> set[str]:
        """The kinds that there are."""
        return {kind for kind, _ in self.names}

    @property
    def pods(self) -> Iterator[tuple[str, Manifest]]:
        """The specs of all Pods, by their owner's kind and name."""
        for each in self.manifests:
            owner = f"{each['kind']}/{each['metadata']['name']}"
            if each["kind"] == "Pod":
                yield owner, each["spec"]
            elif each["kind"] in {"Deployment", "StatefulSet", "Job"}:
                spec = each["spec"]["template"]["spec"]
                claims = [one["metadata"]["name"] for one in each["spec"].get("volumeClaimTemplates", ())]
                volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
                yield owner, {**spec, "volumes": [*spec["volumes"], *volumes]}

    @property
    def settings(self) -> Manifest:
        """The engine's settings."""
        found = yaml.safe_load(self.one("ConfigMap")["data"]["airscrew.yaml"])
        assert isinstance(found, dict)
        return found

    @property
    def controller(self) -> Manifest:
        """The controllers' container."""
        found: Manifest = self.one("Deployment")["spec"]["template"]["spec"]["containers"][0]
        return found


def helm(*words: object, stdin: str = "", seconds: float = 600.0) -> str:
    """
    Run Helm and return what it prints.

    Raises:
        RefusedError: It says no.
    """
    done = subprocess.run(
        [str(_program()), *map(str, words)], input=stdin, capture_output=True, text=True, check=False, timeout=seconds
    )
    if done.returncode:
        raise RefusedError((done.stderr or done.stdout).strip())
    return done.stdout


@cache
def _program() -> Path:
    try:
        return find_helm()
    except CannotBuildError as error:
        raise AssertionError(f"NO HELM TO TEST WITH: {error}") from error


def template(values: Values | None = None, *, release: str = "airscrew", namespace: str = NAMESPACE) -> str:
    """Render the chart as YAML; the same values are rendered once."""
    return _template(json.dumps(values or {}), release, namespace)


@cache
def _template(values: str, release: str, namespace: str) -> str:
    words = ("template", release, CHART, "-n", namespace, "--kube-version", VERSION, "-f", "-")
    return helm(*words, stdin=values)


def render(values: Values | None = None, *, release: str = "airscrew", namespace: str = NAMESPACE) -> Rendered:
    """Render the chart."""
    text = template(values, release=release, namespace=namespace)
    return Rendered([each for each in yaml.safe_load_all(text) if each])


def lint(values: Values) -> str:
    """Lint the chart; raises ``RefusedError`` when it is not clean."""
    return helm("lint", CHART, "--strict", "--quiet", "--kube-version", VERSION, "-f", "-", stdin=json.dumps(values))
