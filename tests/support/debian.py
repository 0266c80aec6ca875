"""
Packages of Debian that the tests need, installed where they are missing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Sequence

from tests.support.go_modules import cache_folder, run


def install(packages: Sequence[str]) -> str:
    """Install packages and say what went wrong."""
    if shutil.which("apt-get") is None:
        return "there is no apt-get to install them with"
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several pytest workers installs, the others wait
        for command in (("update",), ("install", "-y", "--no-install-recommends", *packages)):
            failed = run(["apt-get", "-qq", *command], env=variables)
            if failed:
                return f"apt-get {command[0]} failed: {failed}"
    return ""
