"""
Two engines that share an etcd and run Pods; one stands still for a minute while requests of it are on their way.

The other has its shards before that minute is over. A write to the store that arrives late does not land; when the
first goes on, none of its own does; and no task has run twice: the creation that arrives when its task is long over is
a twin, which is found and killed. What the fence alone keeps out, a write before the new owner has written anything, is
for the simulation.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.user import Running, User, until, with_store
from tests.support.control_plane import ControlPlane
from tests.support.etcd import Etcd
from tests.support.holding_proxy import HoldingProxy
from tests.support.programs import Program

from airscrew.idl.ids import SHARDS, ExecutionId
from airscrew.state import keys
from airscrew.state.records import decode_record
from airscrew.state.store import prefix_end
from airscrew.state.urls import open_store

PAUSE_SECONDS = 60.0
SETTLE_SECONDS = 3.0
RUNNING = 6


@dataclass
class Site:
    """
    Two users with an engine each, and the cluster.

    Attributes:
        plane: The cluster.
        namespace: Where the tasks run.
        url: The store that both share.
        first: The user whose engine stands still; its way to the API server is ``wire``.
        second: The other.
        engine: The first engine.
        wire: Between the first engine and the API server.
        store_wire: Between the first engine and etcd.
        log: What a watch told of Pods, a line each.
    """

    plane: ControlPlane
    namespace: str
    url: str
    first: User
    second: User
    engine: Running
    wire: HoldingProxy
    store_wire: HoldingProxy
    log: Path

    @property
    def pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    def there(self) -> dict[str, dict[str, Any]]:
        """All Pods by the name of their execution."""
        items = self.plane.get(self.pods)["items"]
        return {item["metadata"]["annotations"]["airscrew.io/execution"].partition("/")[2]: item for item in items}

    def succeed(self, pod: dict[str, Any]) -> None:
        """End a Pod well, as its kubelet does."""
        at = "2026-01-01T00:00:00Z"
        end = {"exitCode": 0, "reason": "Completed", "startedAt": at, "finishedAt": at}
        container = {"name": "primary", "image": "none", "imageID": "", "ready": False, "restartCount": 0}
        self.say(pod, phase="Succeeded", containerStatuses=[{**container, "state": {"terminated": end}}])

    def say(self, pod: dict[str, Any], **status: Any) -> None:
        """Write a Pod's status."""
        path = f"{self.pods}/{pod['metadata']['name']}/status"
        code, answer = self.plane.call("PATCH", path, {"status": status}, "application/merge-patch+json")
        assert code == 200, answer

    def submit(self, name: str, template: Path) -> None:
        self.second.run("run", template, "-n", self.namespace, "--name", name, "--detach")

    def is_running(self, name: str) -> bool:
        return bool(self.second.get(f"{self.namespace}/{name}")["phase"] == "Running")

    def owned_by(self, pid: int) -> Iterator[str]:
        """Names of tasks that an engine would get."""
        (member,) = (row["id"] for row in self.second.json("members") if row["pid"] == pid)
        owners = {row["shard"]: row["owner"] for row in self.second.json("shards")}
        for number in range(10_000):
            execution = ExecutionId(self.namespace, f"task-{number}")
            if owners[f"{execution.shard:02x}"] == member:
                yield execution.name

    def records(self) -> dict[str, tuple[int, str]]:
        """The revision of each record, and the life of the engine that wrote it."""

        async def read() -> dict[str, tuple[int, str]]:
            async with open_store(self.url) as store:
                page = await store.range(keys.RECORDS, prefix_end(keys.RECORDS))
                lives = {item.key: decode_record(item.value).write.partition(".")[0] for item in page.items}
                return {item.key: (item.mod_revision, lives[item.key]) for item in page.items}

        return asyncio.run(read())

    def created(self) -> list[str]:
        """The Pods that were ever made, by name and UID."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return sorted({" ".join(line[1:]) for line in lines if line[0] == "ADDED"})


def settings(user: User, url: str, kubeconfig: Path) -> User:
    config = {
        "store": url,
        "lease_seconds": 5,
        "executors": {"pod": {"kubeconfig": str(kubeconfig), "settle": SETTLE_SECONDS, "keep_logs": False}},
    }
    user = with_store(user, url)
    (user.folder / "airscrew.yaml").write_text(json.dumps(config))
    return user


def have_shares(members: list[dict[str, Any]]) -> bool:
    shares = [row["shards"] for row in members]
    return sum(shares) == SHARDS and len(shares) == 2 and min(shares) > SHARDS // 4


@pytest.fixture
def site(played_control_plane: ControlPlane, etcd: Etcd, tmp_path: Path) -> Iterator[Site]:
    plane, url = played_control_plane, etcd.new_url()
    users = [User(tmp_path / name) for name in ("first", "second")]
    host, _, port = etcd.servers[0].endpoint.partition(":")
    with (
        plane.namespace() as namespace,
        HoldingProxy(plane.host, plane.port) as wire,
        HoldingProxy(host, int(port)) as store_wire,
    ):
        held = json.loads(plane.kubeconfig.read_text())
        held["clusters"][0]["cluster"]["server"] = f"https://{plane.host}:{wire.port}"
        kubeconfig = tmp_path / "held.kubeconfig"
        kubeconfig.write_text(json.dumps(held))
        held_url = url.replace(etcd.servers[0].endpoint, f"{host}:{store_wire.port}")
        first, second = settings(users[0], held_url, kubeconfig), settings(users[1], url, plane.kubeconfig)
        told = '{.type} {.object.metadata.name} {.object.metadata.uid}{"\\n"}'
        command = [str(plane.programs / "kubectl"), "--kubeconfig", str(plane.kubeconfig), "get", "pods", "-w"]
        command += ["-n", namespace, "--output-watch-events", "-o", f"jsonpath={told}"]
        witness = Program(command, tmp_path / "pods.log")
        witness.start()
        try:
            engine, other = first.start("serve"), second.start("serve")
            for one in (engine, other):
                one.says("serving on unix:")
            until(lambda: have_shares(second.json("members")), "each has its share")
            yield Site(plane, namespace, url, first, second, engine, wire, store_wire, witness.log)
        finally:
            witness.stop(hard=True)
            for user in users:
                user.leave()


def test_a_paused_engine_writes_nothing_more_and_the_twin_of_its_late_creation_is_killed(
    site: Site, tmp_path: Path
) -> None:
    template = tmp_path / "task.json"
    container = {"image": "none", "command": ["true"]}
    task = {"id": {"name": "demo", "version": "1"}, "type": "container", "container": container}
    template.write_text(json.dumps(task))
    names = site.owned_by(site.engine.pid)
    running, idle, late = [next(names) for _ in range(RUNNING)], next(names), next(names)
    for name in (*running, idle):
        site.submit(name, template)
    until(lambda: all(site.is_running(name) for name in (*running, idle)), "all run")
    quiet = site.there()[idle]
    (first_life,) = {life for _, life in site.records().values()}

    site.wire.hold()
    site.submit(late, template)
    until(lambda: site.wire.held > 500, "its creation is on its way")
    site.store_wire.hold()
    site.say(quiet, phase="Unknown")
    until(lambda: site.store_wire.held > 1000, "a write of what became of a Pod is on its way")
    site.engine.signal(signal.SIGSTOP)
    paused = time.monotonic()
    site.say(quiet, phase="Running")
    for name, pod in site.there().items():
        if name in running:
            site.succeed(pod)
    again = until(lambda: site.there().get(late), "the other engine starts what may not have been started")
    site.succeed(again)
    for name in (*running, late):
        view = site.second.is_over(f"{site.namespace}/{name}")
        assert (view["phase"], view.get("attempt", 0)) == ("Success", 0)
    until(lambda: set(site.there()) == {idle}, "no other Pod is left")
    before, made = site.records(), site.created()
    newest = max(revision for revision, _ in before.values())
    assert len(made) == RUNNING + 2

    site.store_wire.release()
    site.wire.release()
    twin = until(lambda: site.there().get(late), "the late creation arrives")
    assert twin["metadata"]["name"] == again["metadata"]["name"]
    time.sleep(max(0.0, PAUSE_SECONDS - (time.monotonic() - paused)))
    landed = {key for key, (revision, life) in site.records().items() if life == first_life and revision > newest}
    assert landed == set(), "a write that came late has landed"
    site.engine.signal(signal.SIGCONT)

    until(lambda: set(site.there()) == {idle}, "the twin is killed")
    until(lambda: len(site.second.json("members")) == 2, "the first engine is a member again")
    after = site.records()
    for name in running:  # the others may be written by whoever has them now
        key = keys.record_key(ExecutionId(site.namespace, name))
        assert after[key] == before[key], "a write of the paused engine has landed"
    assert len(site.created()) == RUNNING + 3, "a task was run again"
    site.succeed(quiet)
    for name in (idle, late):
        view = site.second.is_over(f"{site.namespace}/{name}")
        assert (view["phase"], view.get("attempt", 0)) == ("Success", 0)
