"""
What can be seen of an attempt, and how it is looked at.

The order of looking makes it consistent without a lock of its own: the supervisor first, then the lock, then the
files. Whatever was written before the lock came free is seen by who found it free.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from airscrew.idl.json_tree import BAD_JSON
from airscrew.plugins.process.processes import ProcessName, boot_id, is_alive
from airscrew.plugins.process.state import Place

StructT = TypeVar("StructT", bound=msgspec.Struct)

TOMBSTONE = "forbidden"
"""The kind of a claim that keeps everybody out."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who runs the attempt.

    Attributes:
        key: The attempt's key.
        boot_id: The boot of the machine that it runs on.
        supervisor: Its supervisor.
        task: The process of its command, which leads a group of its own.
        kind: ``forbidden`` when nobody runs it and nobody ever may.
    """

    key: str = ""
    boot_id: str = ""
    supervisor: ProcessName = ProcessName()
    task: ProcessName = ProcessName()
    digest: str = ""
    kind: str = ""


class ExecFailure(msgspec.Struct, frozen=True):
    """Why the command could not be executed."""

    step: str
    errno: int
    text: str


class ExitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    How the task ended.

    Attributes:
        exit_code: Its exit code; None when a signal ended it.
        signal: The signal.
        exec_error: Why it was never executed.
        terminated: Whether the supervisor had been told to stop it.
        oom_kills: How many processes the kernel killed for memory meanwhile, in the same control group.
    """

    exit_code: int | None = None
    signal: int | None = None
    exec_error: ExecFailure | None = None
    terminated: bool = False
    oom_kills: int = 0
    started_at: float = 0.0
    ended_at: float = 0.0
    user_seconds: float = 0.0
    system_seconds: float = 0.0
    max_rss_kib: int = 0


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """
    How an attempt stands.

    Attributes:
        claim: Its claim; None when there is none, or only the begin of one.
        status: Its exit status; None when there is none.
        is_locked: Whether something of it may be alive.
        is_supervised: Whether its supervisor is alive.
        is_same_boot: Whether it was claimed in this boot of this machine.
        is_clean: Whether its supervisor saw the end of every process of it.
    """

    claim: Claim | None = None
    status: ExitStatus | None = None
    is_locked: bool = False
    is_supervised: bool = False
    is_same_boot: bool = True
    is_clean: bool = False

    @property
    def is_begun(self) -> bool:
        """Whether somebody has claimed it, or is about to."""
        return self.claim is not None or self.is_locked


def observe(place: Place) -> Observation:
    """Look at an attempt. Reads three small files."""
    claim = read_claim(place)
    is_same_boot = claim is None or claim.boot_id == boot_id()
    is_supervised = claim is not None and is_same_boot and is_alive(claim.supervisor)
    is_locked = has_lock(place)
    if claim is None and not is_locked and read_claim(place) is not None:
        return observe(place)  # it was claimed between the two looks, and may have ended as well
    return Observation(
        claim=claim,
        status=_read(place.status, ExitStatus),
        is_locked=is_locked,
        is_supervised=is_supervised,
        is_same_boot=is_same_boot,
        is_clean=Path(place.clean).exists(),
    )


def read_claim(place: Place) -> Claim | None:
    """Read the claim."""
    return _read(place.claim, Claim)


def has_lock(place: Place) -> bool:
    """Tell whether somebody holds the attempt's lock; takes a share of it for a moment, which starters wait out."""
    try:
        descriptor = os.open(place.lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def forbid(place: Place) -> bool:
    """
    Make certain that the attempt never begins, unless somebody has claimed it: then change nothing and return False.

    A supervisor that was spawned and has not yet come to its claim finds this one. Idempotent: True again and again.
    """
    claim = read_claim(place)
    if claim is not None:
        return claim.kind == TOMBSTONE
    Path(place.directory).mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(place.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        descriptor = os.open(place.claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except (BlockingIOError, FileExistsError):
        return False
    finally:
        os.close(lock)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(Claim(key=place.key, boot_id=boot_id(), kind=TOMBSTONE)))
        file.flush()
        os.fsync(file.fileno())
    return True


def _read(path: str, kind: type[StructT]) -> StructT | None:
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=kind)
    except (OSError, *BAD_JSON):
        return None
