"""
The lock that makes one process at a time a store's engine.

A lock of the kernel (flock) on a file beside the store, held for life: it goes with the process that holds it,
however that ends, and says nothing wrong after a crash or a reboot, as a file with a process id would. The
file itself stays.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import final

from airscrew.idl.errors import UsageError
from airscrew.state.errors import StoreBusyError
from airscrew.state.mounts import mount_of, parse_mountinfo

_MOUNTINFO = Path("/proc/self/mountinfo")


@final
class EngineLock:
    """
    The lock of one store's file.

    ``with EngineLock(path):`` takes it or raises at once; ``await lock.wait()`` takes it when its holder is gone.

    Attributes:
        store_path: The store's file.
        path: The lock's file, beside it.
    """

    def __init__(self, store_path: Path | str, *, allow_network: bool = False) -> None:
        """
        Name a lock; nothing is taken yet.

        Args:
            store_path: The store's file, which need not exist yet.
            allow_network: Go on where a network file system is seen; for file systems that are known to be sound.
        """
        self.store_path = absolute(store_path)
        self.path = self.store_path.with_name(self.store_path.name + ".lock")
        self._allow_network = allow_network
        self._descriptor = -1

    @property
    def is_held(self) -> bool:
        """Tell whether this object holds the lock."""
        return self._descriptor >= 0

    def acquire(self) -> None:
        """
        Take the lock at once; its folder is made when it is missing.

        Raises:
            StoreBusyError: Another process holds it, or another object of this one.
            UsageError: The file system is one of a network.
        """
        if not self.try_acquire():
            raise StoreBusyError(
                f"the store {self.store_path} is in use by another airscrew process: "
                "talk to that one, or wait until it ends"
            )

    def try_acquire(self) -> bool:
        """Take the lock if it is free and tell whether it is held now."""
        if self.is_held:
            return True
        self.store_path.parent.mkdir(parents=True, exist_ok=True)
        if not self._allow_network:
            refuse_network(self.store_path)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    async def wait(self, *, poll_seconds: float = 0.1) -> None:
        """Take the lock, waiting for as long as another process holds it."""
        while not self.try_acquire():  # noqa: ASYNC110  # another process sets no event, and flock cannot be cancelled
            await asyncio.sleep(poll_seconds)

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> EngineLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def absolute(path: Path | str) -> Path:
    """Return a store's path in the one form that it is compared in."""
    return Path(path).expanduser().absolute()


def refuse_network(path: Path) -> None:
    """Raise ``UsageError`` for a path on a network file system; where the mounts cannot be read, believe in it."""
    try:
        text = _MOUNTINFO.read_text(errors="surrogateescape")
    except OSError:
        return
    mount = mount_of(PurePosixPath(path.resolve()), parse_mountinfo(text))
    if mount is not None and mount.is_network:
        raise UsageError(
            f"the store {path} would lie on a network file system ({mount.kind} at {mount.point}), where its log "
            "is not safe: name a path on a local disk, or use etcd"
        )
