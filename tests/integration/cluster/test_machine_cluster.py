"""A cluster on this machine leaves nothing on it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.cgroups import CGROUPS, remove_cgroup
from tests.support.machine_cluster import Machine
from tests.support.node_network import Network, remove

SCRIPT = """
import sys
from contextlib import ExitStack
from pathlib import Path
from tests.support.machine_cluster import Machine

with ExitStack() as stack:
    cluster = Machine().open(stack, Path("unused"))
    print(cluster.network.number, flush=True)
    sys.stdin.read()
"""
ROOT = Path(__file__).resolve().parents[3]
END_SECONDS = 20.0


@pytest.fixture
def opened() -> Iterator[tuple[subprocess.Popen[str], Network]]:
    """A process with a cluster of its own."""
    obstacle = Machine().obstacle()
    if obstacle:
        pytest.fail(obstacle, pytrace=False)
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, Network(int(process.stdout.readline()))
        finally:
            process.kill()


def is_on_this_machine(network: Network) -> set[str]:
    """Return what there is of a cluster."""
    found = {f"interface {network.name}"} if Path("/sys/class/net", network.name).exists() else set()
    found |= {f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if str(network.folder) in line}
    found |= {f"group {each}" for each in CGROUPS.glob(f"**/airscrew/{network.name}-*")}
    found |= {f"filter {line}" for line in rules() if "KUBE-" in line}
    found |= {"folder"} if network.folder.exists() else set()
    return found | processes(network)


def rules() -> list[str]:
    return subprocess.run(["iptables-save"], check=True, capture_output=True, text=True).stdout.splitlines()


def processes(network: Network) -> set[str]:
    """Return the processes that work with a cluster's files or are in its groups."""
    found: set[str] = set()
    for folder in Path("/proc").iterdir():
        with suppress(OSError):  # it has just ended
            if folder.name.isdecimal() and folder.name != str(os.getpid()):
                words = (folder / "cmdline").read_text() + (folder / "cgroup").read_text()
                if f"nodes-{network.number}/" in words or f"airscrew/{network.name}-" in words:
                    found.add(f"process {folder.name} {words[:200]}")
    return found


def wait_until_nothing(look: Callable[[], set[str]]) -> None:
    deadline = time.monotonic() + END_SECONDS
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == set()


def test_a_cluster_that_ends_in_order_leaves_nothing(opened: tuple[subprocess.Popen[str], Network]) -> None:
    process, network = opened
    assert {f"interface {network.name}", "folder"} < is_on_this_machine(network)

    process.communicate("")

    assert process.returncode == 0
    assert is_on_this_machine(network) == set()


def test_a_cluster_whose_tests_are_killed_has_no_process_left(
    opened: tuple[subprocess.Popen[str], Network],
) -> None:
    process, network = opened
    assert len(processes(network)) > 10

    process.send_signal(signal.SIGKILL)
    process.wait()

    wait_until_nothing(lambda: processes(network))
    remove(network)  # as the next run does that takes its number
    for group in (1, 2):
        remove_cgroup(f"airscrew/{network.name}-{group}")
    wait_until_nothing(lambda: is_on_this_machine(network))
