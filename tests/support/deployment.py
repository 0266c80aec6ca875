"""
The engine as operators run it: installed by Helm into a real cluster, its tasks in a namespace of their own.

What happens to it is told by the API server alone: each Pod of a task that ever was is counted, by a watch that begins
before the first task.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from tests.support.chart import CHART, helm
from tests.support.cluster_tasks import Job, site_manifests, storage_secret
from tests.support.object_stores import BUCKET, ObjectStore

from airscrew.engine.testing.cluster.cluster import Cluster
from airscrew.engine.testing.cluster.errors import KubectlError

T = TypeVar("T")

RELEASE = "airscrew"
USER = 65532
STORY = 8_000
PATIENCE_SECONDS = 180.0
AT_ONCE = 25
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
DRIVER = """
import base64, json, sys
from airscrew.engine.api.model import ListRequest, SubmitRequest
from airscrew.engine.client import Client

asked = json.load(sys.stdin)
with Client.connect() as client:
    if "submit" in asked:
        for one in asked["submit"]:
            data = {name: base64.b64decode(one.pop(name)) for name in ("template", "inputs")}
            client.submit(SubmitRequest(**one, **data))
        told = len(asked["submit"])
    elif "outputs" in asked:
        told = {name: client.outputs(name) for name in asked["outputs"]}
    else:
        views = client.list(ListRequest(namespace=asked["list"], limit=500))
        told = {
            view.execution: {
                "phase": view.phase.title,
                "over": view.is_over,
                "attempt": view.attempt,
                "reason": view.error.message if view.error else view.reason,
                "ended_at": view.ended_at,
            }
            for view in views
        }
print(json.dumps(told))
"""


@dataclass(frozen=True, kw_only=True)
class Images:
    """
    Names of images that the cluster has.

    Attributes:
        previous: The engine's own, in the version that is installed first.
        engine: The engine's own, in the version of now.
        etcd: With etcd.
        tasks: For tasks of flytekit.
    """

    previous: str
    engine: str
    etcd: str
    tasks: str


@dataclass
class Deployment:
    """
    A release of the chart in a cluster.

    Attributes:
        cluster: Where.
        store: An S3 that Pods reach.
        images: What is run.
        folder: For the volume of etcd.
        engines: The namespace of the release, held to the restricted standard.
        tasks: The namespace of the tasks.
        controllers_wanted: How many controllers share the work.
    """

    cluster: Cluster
    store: ObjectStore
    images: Images
    folder: Path
    engines: str
    tasks: str
    controllers_wanted: int = 2
    before: frozenset[str] = frozenset()
    values: dict[str, Any] = field(default_factory=dict)

    def prepare(self) -> None:
        """Put there what is the operators' own: a volume for etcd, and the way to S3."""
        self.cluster.kubectl("label", "namespace", self.engines, RESTRICTED)
        for manifest in site_manifests(self.store):
            self.cluster.apply(manifest, self.tasks)
        self.cluster.apply(storage_secret(self.store), self.engines)
        self.folder.mkdir(parents=True)
        os.chown(self.folder, USER, USER)
        self.cluster.apply(self._volume())
        self.before = self.objects()

    def _volume(self) -> dict[str, Any]:
        claim = {"namespace": self.engines, "name": f"data-{RELEASE}-etcd-0"}
        spec = {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "8Gi"},
            "claimRef": claim,
            "hostPath": {"path": str(self.folder), "type": "Directory"},
            "persistentVolumeReclaimPolicy": "Retain",
        }
        return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": self.engines}, "spec": spec}

    def install(self) -> None:
        """Install the previous version, and return when its controllers are ready."""
        self.values = self._values()
        self._helm("install", RELEASE, CHART, "-f", "-", "--wait", "--timeout", "90s")

    def upgrade(self) -> None:
        """Upgrade it to the version of now, and return when all controllers are new ones."""
        self.values = {**self.values, "image": _image(self.images.engine)}
        self._helm("upgrade", RELEASE, CHART, "-f", "-", "--wait", "--timeout", "300s")
        self.cluster.kubectl("-n", self.engines, "rollout", "status", f"deployment/{RELEASE}", "--timeout=300s")

    def test(self) -> None:
        """Run the chart's own test."""
        self._helm("test", RELEASE, "--timeout", "120s")

    def uninstall(self) -> None:
        """Remove it."""
        self._helm("uninstall", RELEASE, "--wait", "--timeout", "300s")

    def _helm(self, *words: object) -> None:
        access = ("--kubeconfig", self.cluster.kubeconfig, "-n", self.engines)
        helm(*words, *access, stdin=json.dumps(self.values))

    def _values(self) -> dict[str, Any]:
        pod = {
            "pod_template": "code",
            "default_env_from_secrets": ["s3"],
            "default_requests": {"cpu": "50m", "memory": "32Mi"},
            "concurrency": 40,
            "image_pull_policy": "IfNotPresent",
        }
        return {
            "image": _image(self.images.previous),
            "replicas": self.controllers_wanted,
            "tasks": {"namespaces": [self.tasks]},
            "config": {
                "data_prefix": f"{self.store.base}/{self.tasks}",
                "lease_seconds": 6,
                "executors": {"pod": pod},
            },
            "extraEnvFrom": [{"secretRef": {"name": "s3"}}],
            "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
            "etcd": {
                "image": _image(self.images.etcd),
                "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}},
            },
        }

    @property
    def controllers(self) -> list[dict[str, Any]]:
        """The controllers' Pods that are not on their way out."""
        selector = "app.kubernetes.io/component=controller"
        told = self.cluster.kubectl("-n", self.engines, "get", "pods", "-l", selector, "-o", "json")
        return [pod for pod in json.loads(told)["items"] if "deletionTimestamp" not in pod["metadata"]]

    def ready(self) -> list[str]:
        """The names of the controllers that are ready."""
        return [
            pod["metadata"]["name"]
            for pod in self.controllers
            if any((one["type"], one["status"]) == ("Ready", "True") for one in pod["status"].get("conditions", ()))
        ]

    def drive(self, **asked: Any) -> Any:
        """Ask a controller through its socket, from inside its Pod; one that has just gone is one among several."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        turns = count()
        while True:
            names = self.cluster.until(self.ready, "a controller is ready")
            name = names[next(turns) % len(names)]
            words = ("-n", self.engines, "exec", "-i", name, "-c", "controller", "--", "python3", "-c", DRIVER)
            try:
                return json.loads(self.cluster.kubectl(*words, stdin=json.dumps(asked)))
            except (KubectlError, subprocess.TimeoutExpired):
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Submit tasks."""
        import base64

        requests = [
            {
                "namespace": self.tasks,
                "name": job.name,
                "template": base64.b64encode(job.template).decode(),
                "wire": "flyte1",
                "inputs": base64.b64encode(job.inputs).decode(),
                "overrides": {"container_image": self.images.tasks},
            }
            for job in jobs
        ]
        for first in range(0, len(requests), AT_ONCE):
            some = requests[first : first + AT_ONCE]
            assert self.drive(submit=some) == len(some)

    def gate(self, name: str) -> str:
        """Return where the file is to be that ``open_gate`` makes."""
        return f"{self.store.base}/{self.tasks}/gates/{name}"

    def open_gate(self, name: str) -> None:
        """Let programs end that wait for it."""
        file = self.store.folder / "objects" / BUCKET / self.tasks / "gates" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    def views(self) -> dict[str, dict[str, Any]]:
        """All executions, by name."""
        found = self.drive(list=self.tasks)
        return {name.partition("/")[2]: view for name, view in found.items()}

    def finish(self, jobs: Sequence[Job], seconds: float) -> None:
        """Wait until tasks are over, and see that each succeeded at its first attempt, with its output."""
        names = {job.name for job in jobs}
        missing: set[str] = set()

        def is_done() -> bool:
            views = self.views()
            missing.clear()
            missing.update(name for name in names if not views.get(name, {}).get("over"))
            return not missing

        deadline = time.monotonic() + seconds
        while not is_done():
            assert time.monotonic() < deadline, f"not over in {seconds:.0f} s: {sorted(missing)[:10]}"
            time.sleep(1.0)
        views = self.views()
        wrong = {
            name: views[name] for name in names if (views[name]["phase"], views[name]["attempt"]) != ("Success", 0)
        }
        assert not wrong, wrong
        outputs = self.drive(outputs=[f"{self.tasks}/{name}" for name in sorted(names)])
        assert outputs == {f"{self.tasks}/{job.name}": job.outputs for job in jobs}

    def kill_hard(self, pod: str) -> None:
        """End a controller's process as the kernel does when memory is short: nothing is told, nothing is drained."""
        uid = self.cluster.look(f"pod/{pod}", ".metadata.uid", self.engines)
        pids = [pid for pid in _processes() if _is_engine_of(pid, uid)]
        assert len(pids) == 1, pids
        os.kill(pids[0], signal.SIGKILL)

    def pods_of_tasks(self) -> list[str]:
        """The names of the tasks' Pods that are there."""
        return self.cluster.kubectl("-n", self.tasks, "get", "pods", "-o", "name").split()

    def running(self) -> int:
        """How many Pods of tasks run."""
        words = ("get", "pods", "--field-selector=status.phase=Running", "-o", "name")
        return len(self.cluster.kubectl("-n", self.tasks, *words).split())

    def objects(self) -> frozenset[str]:
        """All that is in the two namespaces, and of the whole cluster what could be a release's."""
        kinds = self.cluster.kubectl("api-resources", "--verbs=list", "--namespaced", "-o", "name").split()
        wanted = ",".join(sorted({kind for kind in kinds if not kind.startswith("events")}))
        found: set[str] = set()
        for namespace in (self.engines, self.tasks):
            told = self.cluster.kubectl("-n", namespace, "get", wanted, "-o", "name", "--ignore-not-found")
            found |= {f"{namespace}: {line}" for line in told.split()}
        told = self.cluster.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
        return frozenset(found | set(told.split()))

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Add to an error what the cluster says of the release."""
        try:
            yield
        except Exception as error:
            error.add_note(self.story())
            raise

    def story(self) -> str:
        """What there is, what happened to it, and what it said last."""
        engines, tasks = ("-n", self.engines), ("-n", self.tasks)
        asked: list[tuple[str, ...]] = [
            (*engines, "get", "pods,jobs,pvc"),
            (*tasks, "get", "pods,events"),
            (
                *engines,
                "logs",
                "-l",
                "app.kubernetes.io/component=controller",
                "--all-containers",
                "--prefix",
                "--tail=30",
            ),
        ]
        looks = [partial(self.cluster.kubectl, *words) for words in asked]
        told: list[str] = []
        for look in (*looks, lambda: json.dumps(self.views() if self.ready() else {}, indent=1)):
            try:
                told.append(look()[-STORY:])
            except Exception as error:  # noqa: BLE001  # what can be told is
                told.append(str(error))
        return "\n".join(told)

    @contextmanager
    def counting(self) -> Iterator[Pods]:
        """Count the tasks' Pods that come while the block runs."""
        columns = r"UID:.metadata.uid,OF:.metadata.annotations.airscrew\.io/execution"
        command = [str(self.cluster.program), "--kubeconfig", str(self.cluster.kubeconfig), "-n", self.tasks]
        command += ["get", "pods", "--watch", "--no-headers", "-o", f"custom-columns={columns}"]
        log = self.folder.with_suffix(".pods")
        with log.open("wb") as out:
            watch = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            try:
                yield Pods(log)
            finally:
                watch.terminate()
                watch.wait()


@dataclass(frozen=True)
class Pods:
    """
    The Pods that a watch told of.

    Attributes:
        log: What it told.
    """

    log: Path

    def by_execution(self) -> Mapping[str, int]:
        """How many Pods each execution had, ever."""
        lines = {tuple(line.split()) for line in self.log.read_text().splitlines() if len(line.split()) == 2}
        return Counter(execution.partition("/")[2] for _, execution in lines)


def wait_until(look: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """Look again and again until there is something, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"it did not happen in {seconds:.0f} s that {what}"
        time.sleep(0.2)
    return found


def _image(name: str) -> dict[str, str]:
    repository, _, tag = name.rpartition(":")
    return {"repository": repository, "tag": tag}


def _processes() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def _is_engine_of(pid: int, uid: str) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False
    return uid in groups and b"serve" in command
