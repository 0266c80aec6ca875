"""
Which process holds something, and whether it is known to have ended.

The name of a process is its machine, the machine's boot, the namespace that its id is of, its id, and when it began:
on the same machine, boot and namespace the kernel tells for certain that it is gone. Of any other one nothing is known.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import msgspec

from airscrew.idl.json_tree import BAD_JSON
from airscrew.state.store import KeyValue

_START_FIELD = 19
"""Of ``/proc/PID/stat``, counted after the command's name."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who holds the lock.

    Attributes:
        host: Its machine's name.
        pid: Its process.
        boot: The machine's boot, by its id.
        space: The namespace that the process id is of.
        started: When the process began, in the kernel's ticks.
    """

    host: str
    pid: int
    boot: str = ""
    space: str = ""
    started: str = ""

    def is_surely_gone(self) -> bool:
        """Tell whether it is known to have ended: only for a process of this machine, this boot and this namespace."""
        me = myself()
        is_near = bool(me.boot and me.space) and (self.host, self.boot, self.space) == (me.host, me.boot, me.space)
        return is_near and _started(self.pid) != self.started


def myself() -> Holder:
    """Describe this process."""
    return Holder(
        host=socket.gethostname(),
        pid=os.getpid(),
        boot=_boot(),
        space=_space(),
        started=_started(os.getpid()),
    )


def holder_of(engine: KeyValue) -> Holder:
    """Read who holds the lock; a stranger when that cannot be read."""
    try:
        return msgspec.json.decode(engine.value, type=Holder)
    except BAD_JSON:
        return Holder(host="", pid=0)


def _boot() -> str:
    return _text(Path("/proc/sys/kernel/random/boot_id"))


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process began; empty when there is none."""
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return fields[_START_FIELD] if len(fields) > _START_FIELD and fields[0] not in "ZX" else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
