"""
Control groups for the containers of a node, of either version.
"""

from __future__ import annotations

import itertools
import os
import time
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def _trees() -> list[Path]:
    """Return where control groups are made: one tree, or one for each controller and one without any."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [each for each in CGROUPS.iterdir() if (each / "cgroup.procs").exists() and not each.is_symlink()]


def make_cgroup(name: str) -> None:
    """Make a group under every controller."""
    for tree in _trees():
        (tree / name).mkdir(parents=True, exist_ok=True)
        parent = (tree / name).parent
        if tree == CGROUPS:  # one tree: what a group may share out, its parents must hand down
            for group in (tree, parent, tree / name):
                controllers = (group / "cgroup.controllers").read_text().split()
                (group / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in controllers))
        if (tree / "cpuset.mems").exists():  # an empty set takes no process
            for file, group in itertools.product(("cpuset.cpus", "cpuset.mems"), (parent, tree / name)):
                (group / file).write_text((tree / file).read_text())


def remove_cgroup(name: str) -> None:
    """Remove a group and all below it, once nobody is in it."""
    deadline = time.monotonic() + 10
    for tree in _trees():
        while (tree / name).exists() and time.monotonic() < deadline:
            for folder, _, _ in os.walk(tree / name, topdown=False):
                with suppress(OSError):  # somebody in it has not quite ended
                    Path(folder).rmdir()
            time.sleep(0.02)
        with suppress(OSError):  # another node's are beside it
            (tree / name).parent.rmdir()
