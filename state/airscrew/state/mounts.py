"""
Which file system a path is on, read from Linux's table of mounts: pure.

SQLite's write-ahead log needs memory that all its readers share, and locks that mean something: on a file
system of a network it has neither, and loses data without a word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

_KERNEL = """
    9p afs beegfs ceph cifs coda davfs glusterfs gpfs lustre ncpfs nfs nfs4 ocfs2 orangefs pvfs2 smb2 smb3 smbfs wekafs
"""
_FUSE = """
    afp blobfuse blobfuse2 ceph ceph-fuse cifs curlftpfs davfs2 gcsfuse glusterfs goofys hdfs juicefs lustre mfs
    moosefs rclone s3fs s3ql seaweedfs smbnetfs sshfs
"""
NETWORK_TYPES = frozenset([*_KERNEL.split(), *(f"fuse.{name}" for name in _FUSE.split())])
"""The types of file systems whose files lie on other machines, as the kernel names them."""

_OCTAL = re.compile(r"\\([0-7]{3})")
_POINT = 4
"""The place of the mount point in a line."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system: where, and of which type."""

    point: PurePosixPath
    kind: str

    @property
    def is_network(self) -> bool:
        """Tell whether its files lie on another machine."""
        return self.kind in NETWORK_TYPES


def parse_mountinfo(text: str) -> Sequence[Mount]:
    """Read ``/proc/self/mountinfo``; lines of an unknown form are passed over."""
    mounts: list[Mount] = []
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        fields, kinds = left.split(" "), right.split(" ")
        if separator and len(fields) > _POINT:
            mounts.append(Mount(PurePosixPath(_unescape(fields[_POINT])), kinds[0]))
    return mounts


def mount_of(path: PurePosixPath, mounts: Sequence[Mount]) -> Mount | None:
    """Find the mount that an absolute path without links is on: the deepest, and of equals the last."""
    found: Mount | None = None
    for mount in mounts:
        if path.is_relative_to(mount.point) and (found is None or len(mount.point.parts) >= len(found.point.parts)):
            found = mount
    return found


def _unescape(text: str) -> str:
    """Undo the kernel's octal escapes of spaces, tabs, newlines and backslashes."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
