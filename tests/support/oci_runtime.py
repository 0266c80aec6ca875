"""
An OCI runtime that asks for no more capabilities than root has: runc, which fails where some are withheld from root.

A privileged container is to have every capability that the kernel knows. Where the machine is itself a container, as
those of a CI may be, some cannot be had, and runc says ``unable to apply caps: operation not permitted``.

    python oci_runtime.py ARGUMENTS    as runc

It imports nothing but the standard library: Docker starts it, by whatever Python the tests have.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

# In the order of their numbers, as in linux/capability.h.
NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
STATUS = Path("/proc/self/status")
LAST = Path("/proc/sys/kernel/cap_last_cap")


def withheld(status: str | None = None) -> set[str]:
    """Say which capabilities of the kernel's no process here can have, by the status of one."""
    bound = next(line.split()[1] for line in (status or STATUS.read_text()).splitlines() if line.startswith("CapBnd:"))
    known = NAMES.split()[: int(LAST.read_text()) + 1]
    return {f"CAP_{name}" for number, name in enumerate(known) if not int(bound, 16) >> number & 1}


def without(process: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Return a process, as OCI describes it, without these capabilities."""
    capabilities = process.get("capabilities") or {}
    kept = {each: [name for name in has if name not in names] for each, has in capabilities.items()}
    return {**process, "capabilities": kept}


def files(arguments: Sequence[str]) -> Iterator[tuple[Path, bool]]:
    """Say where the command line names a process: in a file, and whether it is a bundle's, with more beside it."""
    for word, value in pairwise(arguments):
        if word in {"--bundle", "-b"}:
            yield Path(value) / "config.json", True
        elif word in {"--process", "-p"}:
            yield Path(value), False


def main() -> None:
    names = withheld()
    for file, is_bundle in files(sys.argv[1:]):
        if file.exists():
            said = json.loads(file.read_text())
            made = {**said, "process": without(said["process"], names)} if is_bundle else without(said, names)
            file.write_text(json.dumps(made))
    os.execvp("runc", ["runc", *sys.argv[1:]])


if __name__ == "__main__":
    main()
