"""The cluster that tests run against is one: containers run, names lead, rights bind."""

from __future__ import annotations

import json

import pytest
from tests.integration.cluster.pods import pod, service

from airscrew.engine.testing.cluster.cluster import Cluster
from airscrew.engine.testing.cluster.errors import KubectlError

SERVE = ("python3", "-m", "http.server", "8080")
ASK = """
import time, urllib.request
for attempt in range(100):
    try:
        print(urllib.request.urlopen("http://server:8080/etc/hostname", timeout=5).read().decode())
        break
    except OSError as error:
        time.sleep(0.1)
else:
    raise error
"""


def test_a_pod_of_plain_python_runs_and_its_logs_and_exit_code_are_kept(
    cluster: Cluster, cluster_namespace: str, python_image: str
) -> None:
    cluster.apply(pod("one", python_image, "python3", "-c", "print(6 * 7); raise SystemExit(3)"), cluster_namespace)

    cluster.wait("pod/one", "jsonpath={.status.phase}=Failed", cluster_namespace)

    ended = json.loads(cluster.look("pod/one", ".status.containerStatuses[0].state.terminated", cluster_namespace))
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert cluster.kubectl("logs", "-n", cluster_namespace, "one") == "42\n"


def test_a_pod_on_one_node_reaches_a_service_on_another_by_name(
    cluster: Cluster, cluster_namespace: str, python_image: str
) -> None:
    first, second = (node.name for node in cluster.nodes)
    cluster.apply(pod("server", python_image, *SERVE, nodeName=first), cluster_namespace)
    cluster.apply(service("server", 8080), cluster_namespace)

    cluster.apply(pod("client", python_image, "python3", "-c", ASK, nodeName=second), cluster_namespace)

    cluster.wait("pod/client", "jsonpath={.status.phase}=Succeeded", cluster_namespace)
    assert cluster.kubectl("logs", "-n", cluster_namespace, "client").strip() == "server"


def test_a_container_that_takes_more_memory_than_its_limit_is_killed(
    cluster: Cluster, cluster_namespace: str, python_image: str
) -> None:
    made = pod("greedy", python_image, "python3", "-c", "b'x' * (1 << 28)")
    made["spec"]["containers"][0]["resources"] = {"limits": {"memory": "64Mi"}}

    cluster.apply(made, cluster_namespace)

    cluster.wait("pod/greedy", "jsonpath={.status.phase}=Failed", cluster_namespace)
    path = ".status.containerStatuses[0].state.terminated.reason"
    assert cluster.look("pod/greedy", path, cluster_namespace) == "OOMKilled"


def test_an_image_that_nobody_loaded_is_not_found(cluster: Cluster, cluster_namespace: str) -> None:
    cluster.apply(pod("none", "127.0.0.1:1/none:1", "true"), cluster_namespace)

    path = ".status.containerStatuses[0].state.waiting.reason"
    reasons = {"ErrImagePull", "ImagePullBackOff"}
    cluster.until(lambda: cluster.look("pod/none", path, cluster_namespace) in reasons, "the pull fails")


def test_a_service_account_may_do_what_its_role_says_and_no_more(cluster: Cluster, cluster_namespace: str) -> None:
    account = f"system:serviceaccount:{cluster_namespace}:default"
    ask = ("get", "pods", "-n", cluster_namespace, "--as", account)
    with pytest.raises(KubectlError, match='cannot list resource "pods"'):
        cluster.kubectl(*ask)

    cluster.kubectl("create", "role", "look", "-n", cluster_namespace, "--verb=list", "--resource=pods")
    bound = f"--serviceaccount={cluster_namespace}:default"
    cluster.kubectl("create", "rolebinding", "look", "-n", cluster_namespace, "--role=look", bound)

    cluster.until(lambda: cluster.kubectl(*ask) == "", "the role binds")
    with pytest.raises(KubectlError, match='cannot list resource "secrets"'):
        cluster.kubectl("get", "secrets", "-n", cluster_namespace, "--as", account)


def test_the_image_of_this_project_has_its_commands_and_flytekit(
    cluster: Cluster, cluster_namespace: str, airscrew_image: str
) -> None:
    script = "airscrew --help && pyflyte-execute --help && python -c 'import flytekit, airscrew.engine.core'"

    cluster.apply(pod("ours", airscrew_image, "sh", "-ec", script), cluster_namespace)

    cluster.wait("pod/ours", "jsonpath={.status.phase}=Succeeded", cluster_namespace)
    logs = cluster.kubectl("logs", "-n", cluster_namespace, "ours")
    assert "airscrew" in logs
    assert "--output-prefix" in logs


def test_a_namespace_goes_with_its_test(cluster: Cluster) -> None:
    with cluster.namespace() as name:
        assert cluster.look(f"namespace/{name}", ".status.phase") == "Active"

    cluster.wait(f"namespace/{name}", "delete")
