"""
Nodes of a test cluster on this machine: each a real kubelet with real containers, in namespaces of its own.

A node is a process tree with its own processes, mounts and network: containerd, kubelet, kube-proxy, and the containers
of Pods. A switch, in a network namespace of its own too, joins the nodes with this machine, which sees one interface
and nothing else: no bridge, no packet filter. Pods have addresses that the tests and all nodes reach.

What a node does is up to the test: it can lose its power (``power_off``), its network (``cut_off``) or its kubelet
alone (``pause_kubelet``), and get each back. It keeps its disk, and a new start is a reboot. It takes root, and the
programs in ``missing_programs``.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from tests.support.cgroups import make_cgroup, remove_cgroup
from tests.support.control_plane import FIRST_SERVICE, ControlPlane
from tests.support.node_network import CannotRunNodesError, Network, ip
from tests.support.own_machine import InnerProgram, OwnMachine
from tests.support.pki import Signed

DOMAIN = "cluster.local"
NAMES_SERVICE = str(ipaddress.ip_address(FIRST_SERVICE) + 9)
PLUGINS = "/usr/lib/cni"
SOCKET = "/run/containerd/containerd.sock"
READY_SECONDS = 60.0


@dataclass
class Node:
    """
    A node.

    Attributes:
        plane: The control plane it belongs to.
        network: How it reaches that and the other nodes.
        number: Its place among the nodes, from 1.
        count: How many nodes there are.
        pause_image: What holds a Pod's network, as an archive, and its name.
    """

    plane: ControlPlane
    network: Network
    number: int
    count: int
    pause_image: tuple[Path, str]
    kubelet: InnerProgram = field(init=False)
    containerd: InnerProgram = field(init=False)
    proxy: InnerProgram = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"node-{self.number}"
        self.host = self.network.node(self.number)
        self.folder = self.plane.folder / self.name
        self.folder.mkdir()
        self._machine = OwnMachine(self.name, self.network, self.host, self.folder)
        self.cgroup = f"airscrew/{self.network.name}-{self.number}"
        self._client: Signed = self.plane.authority.sign(
            self.name, f"system:node:{self.name}", group="system:nodes", hosts=(self.host, self.name)
        )
        self._write_files()

    def power_on(self) -> None:
        """Start it, with the disk it had."""
        make_cgroup(self.cgroup)
        self._machine.power_on()
        self._route()
        self._start_programs()

    def power_off(self) -> None:
        """Take its power: all that runs there ends at once, and nobody is told."""
        if not self._machine.power_off():
            return
        for program in (self.kubelet, self.proxy, self.containerd):
            program.stop(hard=True)
        remove_cgroup(self.cgroup)

    def cut_off(self) -> None:
        """Part it from the control plane, the other node and this machine; what runs there runs on."""
        ip("-n", self.network.name, "link", "set", self.name, "down")

    def join(self) -> None:
        """Let it reach the others again."""
        ip("-n", self.network.name, "link", "set", self.name, "up")

    def pause_kubelet(self) -> None:
        """Hold its kubelet; containers run on, and nobody hears of them."""
        self.kubelet.pause()

    def resume_kubelet(self) -> None:
        """Let its kubelet go on."""
        self.kubelet.resume()

    def load_image(self, archive: Path) -> None:
        """Put the images of a docker-archive where its containers are made from."""
        done = self.run("ctr", "-a", SOCKET, "-n", "k8s.io", "image", "import", str(archive))
        if done.returncode:
            raise CannotRunNodesError(f"image {archive} cannot be loaded: {done.stderr.strip()}")

    def is_ready(self) -> bool:
        """Say whether the control plane takes it for ready."""
        status, found = self.plane.call("GET", f"/api/v1/nodes/{self.name}")
        conditions = found["status"].get("conditions", ()) if status == HTTPStatus.OK else ()
        return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command there, as its administrator."""
        return self._machine.run(*command)

    def _route(self) -> None:
        for each in range(1, self.count + 1):
            if each != self.number:
                self._machine.ip(f"route add {self.network.pods(each)} via {self.network.node(each)}")
        ip("route", "replace", self.network.pods(self.number), "via", self.host, "dev", self.network.name)

    def _start_programs(self) -> None:
        programs, folder = self.plane.programs, self.folder
        containerd = ["containerd", "-c", str(folder / "containerd.toml")]
        kubelet = [str(programs / "kubelet"), f"--config={folder / 'kubelet.json'}", f"--node-ip={self.host}"]
        kubelet += [f"--kubeconfig={folder / 'kubelet.kubeconfig'}", f"--hostname-override={self.name}"]
        proxy = [str(programs / "kube-proxy"), f"--config={folder / 'kube-proxy.json'}"]
        proxy += [f"--hostname-override={self.name}"]
        self.containerd = InnerProgram([*self._machine.inside, *containerd], folder / "containerd.log")
        self.kubelet = InnerProgram([*self._machine.inside, *kubelet], folder / "kubelet.log")
        self.proxy = InnerProgram([*self._machine.inside, *proxy], folder / "kube-proxy.log")
        self.containerd.start()
        self.wait_for(lambda: not self.run("ctr", "-a", SOCKET, "version").returncode, "containerd answers")
        self.load_image(self.pause_image[0])
        self.kubelet.start()
        self.proxy.start()

    def wait_for(self, look: Callable[[], object], what: str, seconds: float = READY_SECONDS) -> None:
        """Look again and again until it is so."""
        deadline = time.monotonic() + seconds
        while not look():
            for program in (self.containerd, self.kubelet, self.proxy):
                program.check()
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not happen in {seconds:.0f} s that {what}; see {self.folder}")
            time.sleep(0.05)

    def _write_files(self) -> None:
        folder, plane = self.folder, self.plane
        for program, user, group in (
            ("kubelet", f"system:node:{self.name}", "system:nodes"),
            ("kube-proxy", "system:kube-proxy", ""),
        ):
            config = plane.kubeconfig_for(f"{self.name}-{program}", user, group)
            config.rename(folder / f"{program}.kubeconfig")
        (folder / "resolv.conf").write_text("")  # there is no name server but the cluster's
        (folder / "net.d").mkdir()
        (folder / "net.d" / "10-pods.conflist").write_text(json.dumps(self._pod_network()))
        (folder / "containerd.toml").write_text(self._containerd())
        (folder / "kubelet.json").write_text(json.dumps(self._kubelet()))
        (folder / "kube-proxy.json").write_text(json.dumps(self._proxy()))

    def _pod_network(self) -> object:
        """Each Pod has a link of its own to the node, which routes: without a bridge, packet filters see everything."""
        pods = {"type": "host-local", "ranges": [[{"subnet": self.network.pods(self.number)}]]}
        pods["routes"] = [{"dst": "0.0.0.0/0"}]
        return {
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [{"type": "ptp", "ipam": pods}, {"type": "portmap", "capabilities": {"portMappings": True}}],
        }

    def _containerd(self) -> str:
        return f"""
version = 2
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{self.pause_image[1]}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{self.folder / "net.d"}"
"""

    def _kubelet(self) -> object:
        certs, authority = self._client, self.plane.authority
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.host,
            "tlsCertFile": str(certs.cert),
            "tlsPrivateKeyFile": str(certs.key),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority.cert)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "clusterDNS": [NAMES_SERVICE],
            "clusterDomain": DOMAIN,
            "resolvConf": str(self.folder / "resolv.conf"),
            "enforceNodeAllocatable": [],
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "nodeLeaseDurationSeconds": 8,
            "nodeStatusUpdateFrequency": "2s",
            "oomScoreAdj": 0,
            "readOnlyPort": 0,
        }

    def _proxy(self) -> object:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": str(self.folder / "kube-proxy.kubeconfig")},
            "clusterCIDR": f"10.{self.network.number}.0.0/16",
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "bindAddress": self.host,
            "healthzBindAddress": f"{self.host}:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "iptables": {"minSyncPeriod": "0s"},
        }


def missing_programs() -> list[str]:
    """Return what a node needs and this machine has not."""
    names = (
        "containerd",
        "containerd-shim-runc-v2",
        "runc",
        "iptables",
        "ip",
        "unshare",
        "nsenter",
        "ctr",
        "debootstrap",
    )
    missing = [name for name in names if shutil.which(name) is None]
    return missing + ([] if Path(PLUGINS, "ptp").exists() else [f"{PLUGINS}/ptp"])
