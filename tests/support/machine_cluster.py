"""
A cluster on this machine without Docker and without a registry: a real control plane and two real nodes.

``Machine`` is the way to a cluster that the tests of this repository add to those that ship: it takes Go modules of
``tests/cluster``, root, and a few Debian packages, which it installs where it can.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.control_plane import ControlPlane, find_programs
from tests.support.debian import install
from tests.support.etcd import free_port
from tests.support.go_modules import CannotBuildError, build
from tests.support.images import CannotMakeImageError, pause_image
from tests.support.node_network import CannotRunNodesError, Network, open_network
from tests.support.nodes import DOMAIN, NAMES_SERVICE, Node, missing_programs
from tests.support.programs import Program

from airscrew.engine.testing.cluster.cluster import Cluster
from airscrew.engine.testing.cluster.errors import CannotError

NODES = 2
PACKAGES = ("containerd", "runc", "containernetworking-plugins", "iptables", "debootstrap", "iproute2", "util-linux")
COREFILE = """
{domain}:{port} in-addr.arpa:{port} {{
    bind {host}
    ready {host}:{health}
    errors
    cache 5
    kubernetes {domain} in-addr.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 5
    }}
}}
"""


@dataclass(frozen=True)
class ApiServer:
    """The API server, for a test to stop and start."""

    plane: ControlPlane

    def stop(self) -> None:
        """Kill it."""
        self.plane.api_server.stop(hard=True)

    def start(self) -> None:
        """Start it again, and wait until it is ready."""
        self.plane.restart_api_server()


@dataclass(frozen=True)
class PlaneEtcd:
    """The API server's etcd, for a test to stop and start."""

    plane: ControlPlane

    def stop(self) -> None:
        """Kill it."""
        self.plane.etcd.kill()

    def start(self) -> None:
        """Start it on its data, and wait until the API server is ready again."""
        self.plane.etcd.start()
        self.plane.etcd.wait_ready()
        self.plane.wait_for(lambda: self.plane.get("/readyz") == "ok", "the API server is ready")


@dataclass(kw_only=True)
class MachineCluster(Cluster):
    """
    The cluster on this machine.

    Attributes:
        plane: Its control plane.
        network: Where Pods, nodes and this machine meet; servers of a test listen on ``network.host`` for Pods.
        machines: Its nodes.
    """

    plane: ControlPlane
    network: Network
    machines: Sequence[Node]

    def load_image(self, archive: Path) -> None:
        for node in self.machines:
            node.load_image(archive)

    @property
    def nodes(self) -> Sequence[Node]:
        return self.machines

    @property
    def api_server(self) -> ApiServer:
        return ApiServer(self.plane)

    @property
    def etcd(self) -> PlaneEtcd:
        return PlaneEtcd(self.plane)


class Machine:
    """A cluster on this machine, of real parts."""

    def obstacle(self) -> str:
        """Return what is not there, after having installed what can be."""
        if os.geteuid() != 0:
            return "a cluster on this machine takes root, for its containers"
        failed = install(PACKAGES) if missing_programs() else ""
        missing = missing_programs()
        if missing:
            return (
                f"a cluster on this machine needs {', '.join(missing)}: apt-get install {' '.join(PACKAGES)} ({failed})"
            )
        return ""

    def open(self, stack: ExitStack, folder: Path) -> MachineCluster:
        """Start the control plane, then the nodes, then names; all of it ends with the stack."""
        del folder  # its own is known by the network's number: a later run finds what a killed one left
        try:
            return _open(stack)
        except (CannotBuildError, CannotMakeImageError, CannotRunNodesError, pytest.skip.Exception) as error:
            raise CannotError(f"no cluster on this machine: {error}") from error


def _open(stack: ExitStack) -> MachineCluster:
    pause = pause_image()
    network = open_network(stack)
    # Webhooks of operators are Services, and this machine reaches Pods but no Service addresses.
    options = ["--enable-aggregator-routing=true"]
    plane = ControlPlane(network.folder, find_programs(), host=network.host, options=options)
    stack.callback(plane.stop)
    plane.start()
    nodes = [Node(plane, network, number, NODES, (pause.archive, pause.name)) for number in range(1, NODES + 1)]
    for node in nodes:
        stack.callback(node.power_off)
        node.power_on()
    _start_names(stack, plane, network)
    for node in nodes:
        node.wait_for(node.is_ready, f"{node.name} is ready")
    program = plane.programs / "kubectl"
    return MachineCluster(
        kind="this machine", kubeconfig=plane.kubeconfig, program=program, plane=plane, network=network, machines=nodes
    )


def _start_names(stack: ExitStack, plane: ControlPlane, network: Network) -> None:
    """Start CoreDNS on this machine, as the Service ``kube-dns``."""
    port, health = free_port(), free_port()
    config = plane.kubeconfig_for("names", "names")
    corefile = plane.folder / "Corefile"
    corefile.write_text(COREFILE.format(domain=DOMAIN, host=network.host, port=port, health=health, kubeconfig=config))
    plane.kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": _names(network, port)})
    )
    names = Program([str(build("coredns") / "coredns"), "-conf", str(corefile)], plane.folder / "coredns.log")
    stack.callback(names.stop, hard=True)
    names.start()


def _names(network: Network, port: int) -> list[object]:
    """Return the Service of names, where it leads, and what its server may read."""
    place = {"name": "kube-dns", "namespace": "kube-system"}
    ports = [{"name": protocol.lower(), "protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    ends = [{**each, "port": port} for each in ports]
    reads = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces", "endpoints"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    role, rbac = {"name": "names"}, "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": place,
            "spec": {"clusterIP": NAMES_SERVICE, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**place, "labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [network.host]}],
            "ports": ends,
        },
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": role, "rules": reads},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": role,
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "names"},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": "names"}],
        },
    ]
