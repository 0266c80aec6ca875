"""
The image of kind's nodes, made without a registry: kind's own files over Debian, and the Kubernetes that is built here.

It is what kind's ``images/base/Dockerfile`` and ``kind build node-image`` come to, with Debian's container runtime. In
it lies what a cluster pulls otherwise: an image of all parts of a control plane, and the one of Pods without anything.
It differs in what some machines withhold even from root: nothing in a node asks for a lower ``oom_score_adj``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.control_plane import PROGRAMS, VERSION, find_programs
from tests.support.etcd import find_binary
from tests.support.go_modules import build, module_folder
from tests.support.images import (
    RELEASE,
    CannotMakeImageError,
    Image,
    Settings,
    bootstrap,
    forget_old,
    make_image,
    make_layer,
    pause_image,
    sum_of,
)

KIND = "sigs.k8s.io/kind"
PODS = "10.244.0.0/24"
PLUGINS = "/usr/lib/cni"
FILTERS = "iptables,conntrack,kmod"
PACKAGES = (
    "systemd,iptables,nftables,conntrack,iproute2,ethtool,util-linux,mount,kmod,ca-certificates,jq,procps,"
    "containerd,runc,containernetworking-plugins"
)
"""Those of kind's Dockerfile, but for disks over the network; and the runtime, which kind compiles."""

SET_UP = """
rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/*
rm -f /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/basic.target.wants/*
rm -f /lib/systemd/system/sockets.target.wants/*udev* /lib/systemd/system/sockets.target.wants/*initctl*
rm -f /lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service
echo ReadKMsg=no >>/etc/systemd/journald.conf
ln -sf /usr/lib/systemd/systemd /sbin/init
systemctl enable kubelet.service containerd.service undo-mount-hacks.service
systemctl mask systemd-binfmt.service
mkdir -p /etc/kubernetes/manifests /kind/manifests /opt/cni
ln -s {plugins} /opt/cni/bin
ln -s /usr/bin/containerd /usr/local/bin/containerd
"""
"""What the Dockerfile does after it has copied kind's files."""

CONTAINERD = """
[Service]
OOMScoreAdjust=0
ExecStartPost=/bin/sh -ec "for each in /kind/images/*.tar; do ctr -n k8s.io image import $each; done"
"""


def node_image() -> Image:
    """
    Return the image of a node, made when nobody did before.

    Raises:
        CannotBuildError: Kubernetes or kind cannot be had.
        CannotMakeImageError: Says why.
    """
    programs, files = find_programs(), _kind_folder() / "images" / "base" / "files"
    pause, parts = pause_image(), _control_plane(programs)
    settings = Settings(("/sbin/init",), entrypoint=("/usr/local/bin/entrypoint",), env=("container=docker",))
    layers = [
        make_layer(
            "kind-base",
            [RELEASE, PACKAGES, SET_UP, CONTAINERD, pause.name, sum_of(files)],
            lambda tree: _make_base(tree, files, pause.name),
        ),
        _programs_layer("usr/bin", programs),
        make_layer("kind-images", [pause.name, parts.name], lambda tree: _keep_images(tree, (pause, parts))),
    ]
    image = make_image("kind-node", layers, settings)
    forget_old(image.archive.parent)
    return image


def _kind_folder() -> Path:
    modules = Path(__file__).resolve().parents[1] / "cluster" / "kind" / "go.mod"
    version = next(line.split()[1] for line in modules.read_text().splitlines() if line.split()[:1] == [KIND])
    return module_folder("kind", f"{KIND}@{version}")


def _make_base(tree: Path, files: Path, sandbox: str) -> None:
    bootstrap(tree, PACKAGES)
    for file in files.rglob("*"):
        if file.is_file():
            name = file.relative_to(files)
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, tree / name)
            (tree / name).chmod(0o755 if "bin" in name.parts else 0o644)
    _inside(tree, SET_UP.format(plugins=PLUGINS))
    _adapt_containerd(tree, sandbox)
    (tree / "etc/cni/net.d").mkdir(parents=True)
    (tree / "etc/cni/net.d/10-pods.conflist").write_text(json.dumps(_pod_network()))
    (tree / "kind/version").write_text(VERSION)


def _inside(tree: Path, script: str) -> None:
    done = subprocess.run(["chroot", str(tree), "sh", "-euc", script], check=False, capture_output=True, text=True)
    if done.returncode:
        raise CannotMakeImageError(f"the node of kind cannot be set up: {done.stderr.strip()}")


def _adapt_containerd(tree: Path, sandbox: str) -> None:
    """Have kind's settings of containerd name the image that is there, and ask for no more than every root may."""
    file = tree / "etc/containerd/config.toml"
    made: list[str] = []
    for line in file.read_text().splitlines():
        name = line.partition("=")[0].strip()
        if name == "sandbox_image":
            made.append(f'  sandbox_image = "{sandbox}"')
        elif name == "restrict_oom_score_adj":
            made.append("  restrict_oom_score_adj = true")
        elif name != "base_runtime_spec":  # for the names that firmware gives a machine, which not every one has
            made.append(line)
    file.write_text("\n".join(made) + "\n")
    more = tree / "etc/systemd/system/containerd.service.d"
    more.mkdir()
    (more / "20-images.conf").write_text(CONTAINERD)


def _pod_network() -> object:
    pods = {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}
    plugins = [
        {"type": "ptp", "ipMasq": True, "ipam": pods},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}


def _keep_images(tree: Path, images: Sequence[Image]) -> None:
    (tree / "kind/images").mkdir(parents=True)
    for number, image in enumerate(images):
        shutil.copy(image.archive, tree / f"kind/images/{number}.tar")


def _programs_layer(place: str, programs: Path) -> Path:
    binary = (programs / PROGRAMS[0]).resolve()

    def put(tree: Path) -> None:
        (tree / place).mkdir(parents=True)
        shutil.copy(binary, tree / place / "kubernetes")
        for name in PROGRAMS:
            (tree / place / name).symlink_to("kubernetes")

    return make_layer("kubernetes", [place, sum_of(binary)], put)


def _control_plane(programs: Path) -> Image:
    """Return one image under all the names that kubeadm asks for: who uses it says which program, but for CoreDNS."""
    asked = [str(programs / "kubeadm"), "config", "images", "list", f"--kubernetes-version={VERSION}"]
    names = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    others = {"usr/local/bin/etcd": find_binary().resolve(), "coredns": (build("coredns") / "coredns").resolve()}

    def put(tree: Path) -> None:
        for name, binary in others.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(binary, tree / name)

    layers = [
        make_layer("filters", [RELEASE, FILTERS], lambda tree: bootstrap(tree, FILTERS)),
        _programs_layer("usr/local/bin", programs),
        make_layer("control-plane", [sum_of(binary) for binary in others.values()], put),
    ]
    tags = [name for name in names if "/pause:" not in name]
    return make_image("control-plane", layers, Settings((), entrypoint=("/coredns",)), tags)
