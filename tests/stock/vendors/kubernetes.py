"""
A real Kubernetes API server, and before it what fails on demand: for connectors that run in the cluster.

Controllers and a scheduler are at work, and there is no node: a Pod is as its kubelet would tell once a test says so.
"""

from __future__ import annotations

import json
import shutil
import ssl
import threading
from collections.abc import Sequence
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.stock.vendor import Job, Reply, Request, Vendor
from tests.support.control_plane import ControlPlane

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
NAMESPACE = "flyte"
"""The namespace that the connector for data services has for everybody."""

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services"
SETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets"
NOW = "2026-01-01T00:00:00Z"
VERBS = ("create", "delete", "get")
HEADERS = ("accept", "authorization", "content-type", "user-agent")

# A Pod's processes have these files from their kubelet: here one process has them, and nobody else of the machine.
GIVE_ACCOUNT = f'mount -t tmpfs none /var/run && mkdir -p {ACCOUNT} && cp "$0"/* {ACCOUNT} && exec "$@"'


class Kubernetes(Vendor):
    """
    The API server as a Pod's processes come to it. The jobs are the StatefulSets, by their names.

    Attributes:
        plane: What stands behind it.
        gate: Who makes a Service next waits until it is set.
        waiting: Set by who waits there.
    """

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane, self._folder = plane, folder
        self._trust = ssl.create_default_context(cafile=str(plane.authority.cert))
        _begin(plane)
        super().__init__(plane.authority.sign("before", "kube-apiserver", hosts=["127.0.0.1"]))
        folder.mkdir()
        (folder / "token").write_text(_token(plane))
        shutil.copy(plane.authority.cert, folder / "ca.crt")

    def reset(self) -> None:
        """Leave nothing in the namespace."""
        super().reset()
        self.gate: threading.Event | None = None
        self.waiting = threading.Event()
        for path in (SETS, SERVICES):
            self.plane.call("DELETE", path)
        self.plane.wait_for(self._has_no_pods, "Pods of the last test are gone")

    def variables(self) -> dict[str, str]:
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}

    @property
    def runner(self) -> Sequence[str]:
        """What a command line begins with to run with the account of a Pod; it takes root."""
        return ("unshare", "--mount", "sh", "-c", GIVE_ACCOUNT, str(self._folder))

    def is_create(self, request: Request) -> bool:
        return request.method == "POST" and request.path == SETS

    def answer(self, request: Request) -> Reply:
        if request.method == "POST" and request.path == SERVICES and (gate := self.gate) is not None:
            self.gate = None
            self.waiting.set()
            gate.wait(20)
        reply = self._forward(request)
        folder, _, name = request.path.rpartition("/")
        if self.is_create(request) and reply.status == 201:
            self.make(reply.body["metadata"]["name"], "made", request.body)
        if request.method == "GET" and folder == SETS and name in self.jobs:
            self.jobs[name].polls += 1
        return reply

    def finish(self, job: Job) -> None:
        """Have its Pods run, and be ready."""
        for number in range(int(job.asked["spec"]["replicas"])):
            self._tell(job, number, "Running", {"running": {"startedAt": NOW}})

    def fail(self, job: Job, *, system: bool) -> None:
        """Have its first Pod wait for an image that there is not, or be evicted."""
        if system:
            self._tell(job, 0, "Failed", {}, reason="Evicted", message="The node was low on resource: memory.")
        else:
            self._tell(job, 0, "Pending", {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})

    def is_cancelled(self, job: Job) -> bool:
        return self.names(SETS) == self.names(SERVICES) == []

    def pods(self) -> dict[str, str]:
        """List the Pods by their names, each with its number of all time."""
        return {item["metadata"]["name"]: item["metadata"]["uid"] for item in self.plane.get(PODS)["items"]}

    def names(self, path: str) -> list[str]:
        """List what lies at a path."""
        return [item["metadata"]["name"] for item in self.plane.get(path)["items"]]

    def _tell(self, job: Job, number: int, phase: str, state: object, **why: str) -> None:
        """Be the scheduler and the kubelet of a Pod of a job."""
        name, is_ready = f"{job.id}-{number}", phase == "Running"
        self.plane.wait_for(lambda: name in self.names(PODS), "its controller makes the Pod")
        target = {"apiVersion": "v1", "kind": "Node", "name": "nowhere"}
        self.plane.call("POST", f"{PODS}/{name}/binding", {"metadata": {"name": name}, "target": target})
        container = {"name": job.id, "image": "i", "imageID": "", "ready": is_ready, "restartCount": 0, "state": state}
        conditions = [{"type": "Ready", "status": str(is_ready), "lastTransitionTime": NOW}]
        status = {"phase": phase, "conditions": conditions, "containerStatuses": [container], **why}
        path, kind = f"{PODS}/{name}/status", "application/merge-patch+json"
        code, told = self.plane.call("PATCH", path, {"status": status}, kind)
        assert code == 200, told

    def _has_no_pods(self) -> bool:
        for name in self.names(PODS):
            self.plane.call("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})
        return not self.names(PODS) + self.names(SETS) + self.names(SERVICES)

    def _forward(self, request: Request) -> Reply:
        """Ask the API server the same, as who asks here."""
        connection = HTTPSConnection(self.plane.host, self.plane.port, timeout=20, context=self._trust)
        path = f"{request.path}?{urlencode(request.query)}" if request.query else request.path
        headers = {name: value for name, value in request.headers.items() if name in HEADERS}
        try:
            body = None if request.body is None else json.dumps(request.body)
            connection.request(request.method, path, body, headers)
            told = connection.getresponse()
            return Reply(status=told.status, body=json.loads(told.read()))
        finally:
            connection.close()


def _begin(plane: ControlPlane) -> None:
    """Make the namespace, and in it an account that may do what the connector does, and nothing else."""
    rules = [
        {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": VERBS},
        {"apiGroups": [""], "resources": ["services"], "verbs": VERBS},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "connector"}
    subject = {"kind": "ServiceAccount", "name": "connector", "namespace": NAMESPACE}
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
    made: list[tuple[str, dict[str, Any]]] = [
        ("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}),
        (f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "connector"}}),
        (f"{rights}/roles", {"metadata": {"name": "connector"}, "rules": rules}),
        (f"{rights}/rolebindings", {"metadata": {"name": "connector"}, "roleRef": role, "subjects": [subject]}),
    ]
    for path, body in made:
        code, told = plane.call("POST", path, body)
        assert code == 201, told
    accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"
    plane.wait_for(lambda: plane.call("GET", accounts)[0] == 200, "Pods of the namespace have an account")


def _token(plane: ControlPlane) -> str:
    """Ask for a token of the account, as a kubelet does for a Pod."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/connector/token"
    code, told = plane.call("POST", path, {"spec": {"expirationSeconds": 7200}})
    assert code == 201, told
    return str(told["status"]["token"])
