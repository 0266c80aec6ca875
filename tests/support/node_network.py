"""
The network of a test cluster on this machine: a switch between its nodes, and one interface of this machine.

The number of the network is that of the cluster: what a killed run left under it goes when the number is taken again.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import socket
import subprocess
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.go_modules import cache_folder

NUMBERS = range(220, 251)


class CannotRunNodesError(Exception):
    """This machine cannot hold nodes; the message says what to do about it."""


def ip(*arguments: str) -> None:
    """Run ``ip``."""
    subprocess.run(["ip", *arguments], check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)


@dataclass(frozen=True)
class Network:
    """
    The switch between nodes and this machine: 10.N.0.0/24, and 10.N.K.0/24 for the Pods of node K.

    Attributes:
        number: N; nobody else on this machine uses it.
    """

    number: int

    @property
    def host(self) -> str:
        """This machine, for nodes and Pods."""
        return f"10.{self.number}.0.1"

    @property
    def name(self) -> str:
        """This machine's interface, and the switch's namespace."""
        return f"aw{self.number}"

    @property
    def folder(self) -> Path:
        """For the files of its cluster: where nodes see them, which have a ``/run`` and ``/var/lib`` of their own."""
        return cache_folder() / f"nodes-{self.number}"

    def node(self, node: int) -> str:
        """A node's address."""
        return f"10.{self.number}.0.{10 + node}"

    def pods(self, node: int) -> str:
        """The addresses of a node's Pods."""
        return f"10.{self.number}.{node}.0/24"


def open_network(stack: ExitStack) -> Network:
    """
    Find addresses that nobody uses, lay the switch and make the folder; all of it goes with the stack.

    What a run that was killed has left under the same number goes now.

    Raises:
        CannotRunNodesError: There are none.
    """
    cache_folder().mkdir(parents=True, exist_ok=True)
    for number in NUMBERS:
        network = Network(number)
        claim = stack.enter_context(socket.socket(socket.AF_UNIX))
        try:
            claim.bind(f"\0airscrew-{network.name}")  # the kernel frees it when we end, however we do
        except OSError:
            continue
        remove(network)
        if not _in_use(number):
            stack.callback(remove, network)
            network.folder.mkdir(mode=0o700)
            _lay(network)
            return network
    raise CannotRunNodesError(
        f"10.{NUMBERS[0]}.0.0/16 and all up to 10.{NUMBERS[-1]}.0.0/16 are in use on this machine"
    )


def _in_use(number: int) -> bool:
    done = subprocess.run(["ip", "-j", "route", "show", "table", "all"], check=True, capture_output=True, text=True)
    ours = ipaddress.ip_network(f"10.{number}.0.0/16")
    for route in json.loads(done.stdout):
        with suppress(ValueError):  # "default", and addresses of the other family
            if ours.overlaps(ipaddress.ip_network(route.get("dst", ""), strict=False)):
                return True
    return False


def _lay(network: Network) -> None:
    name = network.name
    ip("netns", "add", name)
    ip("-n", name, "link", "add", "switch", "type", "bridge")
    ip("-n", name, "link", "set", "switch", "up")
    ip("link", "add", name, "type", "veth", "peer", "name", "host", "netns", name)
    ip("-n", name, "link", "set", "host", "master", "switch", "up")
    ip("addr", "add", f"{network.host}/24", "dev", name)
    ip("link", "set", name, "up")


def remove(network: Network) -> None:
    """Remove it, and the files of its cluster."""
    for what in (("link", "del", network.name), ("netns", "del", network.name)):
        with suppress(subprocess.CalledProcessError):  # it is not there
            ip(*what)
    shutil.rmtree(network.folder, ignore_errors=True)
