"""
Processes of this machine: who is who, and signals that never reach a stranger.

A process is named by its number and the time it began at, since numbers are used again. A signal goes through a pidfd
that was opened first and compared with that name afterwards: from then on it cannot mean another process.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import msgspec

from airscrew.plugins.process.state import Place

MARKER = "AIRSCREW_KEY"
"""The variable with the attempt's key that all processes of an attempt inherit."""

PLACE_MARKER = "AIRSCREW_ATTEMPT"
"""The one with its control directory: a copy of a store has the same keys, and other processes."""


class ProcessName(msgspec.Struct, frozen=True):
    """
    A process of this boot.

    Attributes:
        pid: Its number; 0 for none.
        start: When it began, in ticks since boot.
    """

    pid: int = 0
    start: int = 0


def boot_id() -> str:
    """Name the boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def is_alive(name: ProcessName) -> bool:
    """Tell whether it is there and not just waiting to be reaped."""
    fields = _stat(name.pid)
    return bool(fields) and int(fields[19]) == name.start and fields[0] not in "ZX"


def name_of(pid: int) -> ProcessName | None:
    """Name a process by its number; None when there is none."""
    fields = _stat(pid)
    return ProcessName(pid, int(fields[19])) if fields else None


def open_process(name: ProcessName) -> int | None:
    """Open a pidfd to it; None when it is gone. It becomes readable when the process ends."""
    if not name.pid:
        return None
    try:
        descriptor = os.pidfd_open(name.pid)
    except ProcessLookupError:
        return None
    if is_alive(name):
        return descriptor
    os.close(descriptor)
    return None


def send(name: ProcessName, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; False when it is gone or belongs to another user."""
    descriptor = open_process(name)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(descriptor)
    return True


def send_to_group(leader: ProcessName, number: signal.Signals) -> bool:
    """Send a signal to the group of a process that is alive; its being alive keeps the group's number its own."""
    if not is_alive(leader):
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader.pid, number)
        return True
    return False


def find_of_attempt(place: Place) -> list[ProcessName]:
    """
    Find all processes that carry the attempt's markers in their environment, or have its lock open.

    Looks at every process. What neither carries the markers nor has the lock can only be seen by the supervisor, whose
    child it becomes.
    """
    entries = {f"{MARKER}={place.key}".encode(), f"{PLACE_MARKER}={place.directory}".encode()}
    path = os.path.realpath(place.lock)
    found: list[ProcessName] = []
    for pid in (int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal()):
        if pid == os.getpid():
            continue
        name = name_of(pid)
        if name is not None and is_alive(name) and (_carries(pid, entries) or _has_open(pid, path)):
            found.append(name)
    return found


def reap(pid: int) -> bool:
    """Reap a child of this process if it has ended; True when there is nothing left to do, as for who is no child."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def _stat(pid: int) -> list[str]:
    """Read ``/proc/PID/stat`` from the state on; what stands before may hold spaces and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _carries(pid: int, entries: set[bytes]) -> bool:
    try:
        return entries <= set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return False


def _has_open(pid: int, path: str) -> bool:
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for descriptor in descriptors:
        with suppress(OSError):
            if str(descriptor.readlink()) == path:
                return True
    return False
