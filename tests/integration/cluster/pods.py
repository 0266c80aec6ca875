"""
Manifests of what the tests run in the cluster.
"""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]


def pod(name: str, image: str, *command: str, **spec: object) -> Manifest:
    """Return a Pod of one container that runs a command once."""
    container = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "command": list(command)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            **spec,
        },
    }


def job(name: str, image: str, *command: str) -> Manifest:
    """Return a Job that keeps one such Pod running, on any node."""
    made = pod(name, image, *command)
    template = {"metadata": {"labels": {"app": name}}, "spec": made["spec"]}
    spec = {"template": template, "backoffLimit": 10}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def service(name: str, port: int) -> Manifest:
    """Return a Service before the Pod of that name."""
    spec = {"selector": {"app": name}, "ports": [{"port": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
