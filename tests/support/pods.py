"""Tables about Pods: what a task is, what is configured, and what its manifest says then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor.context import Locations
from airscrew.idl.template import Container, K8sPod, Resources, TaskTemplate, make_template
from airscrew.plugins.kubernetes.pod.build import BuiltPod, PodAttempt, build_pod
from airscrew.plugins.kubernetes.pod.config import read_config
from airscrew.plugins.kubernetes.pod.source import source_pod

LOCATIONS = Locations(
    input_uri="s3://b/e/inputs.pb",
    input_prefix="s3://b/e",
    output_prefix="s3://b/e/0",
    raw_output_prefix="s3://b/raw/e0",
    checkpoint_prefix="s3://b/raw/e0/_flytecheckpoints",
    previous_checkpoint_prefix="",
    template_uri="s3://b/e/task.pb",
)
IMAGE = "ghcr.io/example/app:v1"


def container(
    *, requests: dict[str, str] | None = None, limits: dict[str, str] | None = None, **more: Any
) -> Container:
    resources = Resources(requests=requests or {}, limits=limits or {})
    return Container(**{"image": IMAGE, "args": ("run",), "resources": resources, **more})


def task(target: Container | K8sPod | None = None, **more: Any) -> TaskTemplate:
    return make_template(more.pop("task_type", "python-task"), target=target or container(), **more)


def pod_task(*containers: dict[str, Any], primary: str = "primary", **spec: Any) -> TaskTemplate:
    given = list(containers) or [{"name": "primary", "image": IMAGE, "args": ["run"]}]
    config = {"primary_container_name": primary} if primary else {}
    return task(K8sPod(pod_spec={"containers": given, **spec}), config=config)


def pod_template(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **spec: Any) -> dict[str, Any]:
    """A PodTemplate as the API server gives it, its own defaults filled in."""
    filled = {
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "resources": {},
        "image": "docker.io/rwgrim/docker-noop",
    }
    defaults = {"restartPolicy": "Always", "schedulerName": "default-scheduler", "securityContext": {}}
    metadata = spec.pop("metadata", {})
    return {
        "kind": "PodTemplate",
        "metadata": {"name": "base", "namespace": "team"},
        "template": {
            "metadata": metadata,
            "spec": {
                **defaults,
                "containers": [{**filled, **one} for one in containers] or [{**filled, "name": "default"}],
                **({"initContainers": [{**filled, **one} for one in init]} if init else {}),
                **spec,
            },
        },
    }


@dataclass(frozen=True, kw_only=True)
class Row:
    """A task, and what its Pod says or why there is none."""

    name: str
    template: TaskTemplate = field(default_factory=task)
    config: dict[str, Any] = field(default_factory=dict)
    attempt: dict[str, Any] = field(default_factory=dict)
    base: dict[str, Any] | None = None
    engine_env: dict[str, str] = field(default_factory=dict)
    expect: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    says: str = ""

    def build(self) -> BuiltPod:
        attempt = PodAttempt(**{"name": "akey", "namespace": "team", "locations": LOCATIONS, **self.attempt})
        source = source_pod(self.template, attempt.overrides)
        return build_pod(
            source,
            self.template,
            attempt,
            read_config(self.config),
            pod_template=self.base,
            engine_env=self.engine_env,
        )

    def check(self) -> None:
        if self.code:
            with pytest.raises(PermanentError) as caught:
                self.build()
            assert caught.value.code == self.code
            assert self.says in str(caught.value), str(caught.value)
            assert "\n" not in str(caught.value)
            return
        manifest = self.build().manifest
        for path, wanted in self.expect.items():
            assert at(manifest, path) == wanted, path


def table(rows: list[Row]) -> Any:
    assert len({row.name for row in rows}) == len(rows)
    return pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in rows])


def at(tree: object, path: str) -> Any:
    """What lies at a path ``spec > containers > primary > image``: items by name or number; None if nothing."""
    for step in path.split(" > "):
        if isinstance(tree, Mapping):
            tree = tree.get(step)
        elif isinstance(tree, list):
            tree = tree[int(step)] if step.isdigit() and int(step) < len(tree) else _named(tree, step)
        else:
            return None
    return tree


def _named(items: list[Any], name: str) -> Any:
    return next((one for one in items if name in (one.get("name"), one.get("mountPath"), one.get("key"))), None)


def own(path: str) -> str:
    return f"spec > containers > primary > {path}"
