"""
Machines of their own for the members of a cluster: network namespaces that can be cut off from one another.

Each has two ends: one towards the tests, one towards its peers over a switch in a namespace of its own. Nothing listens
outside the namespaces, and all of it goes with them. It takes root and ``ip``; without them the tests are skipped, and
say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

_NET = 10 * 2**24 + 213 * 2**16
"""10.213.0.0"""


@dataclass(frozen=True)
class Machine:
    """
    One namespace.

    Attributes:
        name: Its name, and that of its end towards its peers.
        host: Its address for the tests.
        peer_host: Its address for its peers.
    """

    name: str
    host: str
    peer_host: str

    @property
    def runner(self) -> Sequence[str]:
        """What a command line begins with to run there."""
        return ("ip", "netns", "exec", self.name)

    def cut_off(self) -> None:
        """Part it from its peers; the tests still reach it."""
        _ip("-n", self.name, "link", "set", "peers", "down")

    def join(self) -> None:
        """Let it reach its peers again."""
        _ip("-n", self.name, "link", "set", "peers", "up")


def make_machines(stack: ExitStack, count: int) -> list[Machine]:
    """Make namespaces that end with the stack."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("NO NETWORK TO PART: it takes root and ip")
    mark = f"aw{os.getpid() % 100_000}"
    switch = f"{mark}s"
    _namespace(stack, switch)
    _ip("-n", switch, "link", "add", "switch", "type", "bridge")
    _ip("-n", switch, "link", "set", "switch", "up")
    return [_machine(stack, mark, switch, number) for number in range(count)]


def _machine(stack: ExitStack, mark: str, switch: str, number: int) -> Machine:
    base = (os.getpid() % 16_000) * 4
    outer, inner = _address(base, number, 1), _address(base, number, 2)
    machine = Machine(f"{mark}m{number}", inner, f"10.214.0.{number + 1}")
    _namespace(stack, machine.name)
    _ip("-n", machine.name, "link", "set", "lo", "up")
    _ip("link", "add", machine.name, "type", "veth", "peer", "name", "tests", "netns", machine.name)
    _ip("addr", "add", f"{outer}/32", "peer", inner, "dev", machine.name)
    _ip("link", "set", machine.name, "up")
    _ip("-n", machine.name, "addr", "add", f"{inner}/32", "peer", outer, "dev", "tests")
    _ip("-n", machine.name, "link", "set", "tests", "up")
    far = ("peer", "name", f"p{number}", "netns", switch)
    _ip("-n", machine.name, "link", "add", "peers", "type", "veth", *far)
    _ip("-n", switch, "link", "set", f"p{number}", "master", "switch", "up")
    _ip("-n", machine.name, "addr", "add", f"{machine.peer_host}/24", "dev", "peers")
    machine.join()
    return machine


def _address(base: int, number: int, end: int) -> str:
    """Return an address of 10.213.0.0/16 that no other run of the tests uses at the same time."""
    value = _NET + (base + number * 4 + end) % 2**16
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def _namespace(stack: ExitStack, name: str) -> None:
    try:
        _ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"NO NETWORK TO PART: {error.stderr.strip()}")
    stack.callback(_ip, "netns", "del", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
