"""What can happen to a cluster does happen to this one, when a test says so, and it is whole again afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.integration.cluster.pods import job, pod

from airscrew.engine.testing.cluster.cluster import Cluster, Node
from airscrew.engine.testing.cluster.errors import KubectlError

TICK = "import itertools, time\nfor n in itertools.count(): print(n, flush=True); time.sleep(0.2)"
RUN = ("python3", "-c", TICK)
PHASE = ".status.phase"


@pytest.fixture
def afterwards(cluster: Cluster) -> Iterator[ExitStack]:
    """What mends the cluster; the next test begins when all nodes are ready."""
    try:
        with ExitStack() as stack:
            yield stack
    finally:
        cluster.kubectl("wait", "node", "--all", "--for=condition=Ready", "--timeout=60s")


def is_silent(cluster: Cluster, node: Node) -> bool:
    status = cluster.look(f"node/{node.name}", ".status.conditions[?(@.type=='Ready')].status")
    return status == "Unknown"


def node_of(cluster: Cluster, namespace: str, name: str) -> str:
    """Return where a running Pod of an app is, one that nobody is taking away."""
    path = "jsonpath={range .items[?(@.status.phase=='Running')]}{.spec.nodeName} {.metadata.deletionTimestamp}\n{end}"
    lines = cluster.kubectl("get", "pods", "-n", namespace, "-l", f"app={name}", "-o", path).splitlines()
    return next((line.strip() for line in lines if len(line.split()) == 1), "")


def ticks(cluster: Cluster, namespace: str, name: str) -> int:
    lines = cluster.kubectl("logs", "-n", namespace, name, "--tail=1").split()
    return int(lines[0]) if lines else -1


def test_what_runs_runs_on_while_the_api_server_is_away(
    cluster: Cluster, cluster_namespace: str, python_image: str, afterwards: ExitStack
) -> None:
    cluster.apply(pod("one", python_image, *RUN), cluster_namespace)
    cluster.wait("pod/one", "condition=Ready", cluster_namespace)
    cluster.api_server.stop()
    afterwards.callback(cluster.api_server.start)
    with pytest.raises(KubectlError, match="was refused"):
        cluster.kubectl("get", "nodes")

    afterwards.close()

    before = ticks(cluster, cluster_namespace, "one")
    cluster.until(lambda: ticks(cluster, cluster_namespace, "one") > before, "the Pod goes on")
    assert cluster.look("pod/one", ".status.containerStatuses[0].restartCount", cluster_namespace) == "0"


def test_objects_are_there_after_etcd_was_killed(
    cluster: Cluster, cluster_namespace: str, afterwards: ExitStack
) -> None:
    cluster.kubectl("create", "configmap", "kept", "-n", cluster_namespace, "--from-literal=key=value")
    cluster.etcd.stop()
    afterwards.callback(cluster.etcd.start)

    afterwards.close()

    assert cluster.look("configmap/kept", ".data.key", cluster_namespace) == "value"


def test_a_job_on_a_node_without_power_starts_again_on_the_other(
    cluster: Cluster, cluster_namespace: str, python_image: str, afterwards: ExitStack
) -> None:
    cluster.apply(job("tick", python_image, *RUN), cluster_namespace)
    first = cluster.until(lambda: node_of(cluster, cluster_namespace, "tick"), "it runs")
    (node,) = (each for each in cluster.nodes if each.name == first)
    node.power_off()
    afterwards.callback(node.power_on)

    cluster.until(lambda: is_silent(cluster, node), "the node is missed")

    others = {each.name for each in cluster.nodes} - {first}
    cluster.until(lambda: node_of(cluster, cluster_namespace, "tick") in others, "it runs elsewhere")


def test_containers_run_on_while_their_kubelet_is_held_and_nobody_hears_of_them(
    cluster: Cluster, cluster_namespace: str, python_image: str, afterwards: ExitStack
) -> None:
    node = cluster.nodes[0]
    patient = [{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}]
    cluster.apply(pod("one", python_image, *RUN, nodeName=node.name, tolerations=patient), cluster_namespace)
    cluster.wait("pod/one", "condition=Ready", cluster_namespace)
    before = ticks(cluster, cluster_namespace, "one")
    node.pause_kubelet()
    afterwards.callback(node.resume_kubelet)

    cluster.until(lambda: is_silent(cluster, node), "the node is missed")
    afterwards.close()

    cluster.wait(f"node/{node.name}", "condition=Ready")
    assert cluster.look("pod/one", PHASE, cluster_namespace) == "Running"
    assert ticks(cluster, cluster_namespace, "one") > before + 20


def test_a_pod_on_a_node_that_was_cut_off_is_taken_away_once_the_node_is_back(
    cluster: Cluster, cluster_namespace: str, python_image: str, afterwards: ExitStack
) -> None:
    node = cluster.nodes[0]
    cluster.apply(pod("one", python_image, *RUN, nodeName=node.name), cluster_namespace)
    cluster.wait("pod/one", "condition=Ready", cluster_namespace)
    node.cut_off()
    afterwards.callback(node.join)
    deletion = ".metadata.deletionTimestamp"
    cluster.until(lambda: cluster.look("pod/one", deletion, cluster_namespace), "its eviction")
    assert cluster.look("pod/one", PHASE, cluster_namespace) == "Running", "nobody can say that it ended"

    afterwards.close()

    cluster.wait("pod/one", "delete", cluster_namespace)


def test_a_drained_node_is_left_by_its_pods(
    cluster: Cluster, cluster_namespace: str, python_image: str, afterwards: ExitStack
) -> None:
    cluster.apply(job("tick", python_image, *RUN), cluster_namespace)
    first = cluster.until(lambda: node_of(cluster, cluster_namespace, "tick"), "it runs")
    afterwards.callback(cluster.kubectl, "uncordon", first)

    cluster.drain(first)

    others = {each.name for each in cluster.nodes} - {first}
    cluster.until(lambda: node_of(cluster, cluster_namespace, "tick") in others, "it runs elsewhere")
