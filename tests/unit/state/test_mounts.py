from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from airscrew.state.mounts import mount_of, parse_mountinfo

MOUNTINFO = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
22 27 0:21 / /proc rw,relatime - proc proc rw
36 35 98:0 /mnt1 /mnt/share rw,noatime master:1 propagate_from:2 - nfs4 server:/export rw,vers=4.2
37 35 98:0 / /mnt/with\040space rw - fuse.sshfs user@host:/ rw
38 35 98:0 / /home rw - nfs server:/home rw
39 38 98:0 / /home rw - ext4 /dev/vdb rw
40 36 98:0 / /mnt/share/local rw shared:7 - xfs /dev/vdc rw
garbage
"""


@pytest.mark.parametrize(
    ("path", "kind", "is_network"),
    [
        ("/var/lib/store.db", "ext4", False),
        ("/mnt/share", "nfs4", True),
        ("/mnt/share/deep/store.db", "nfs4", True),
        ("/mnt/shared/store.db", "ext4", False),
        ("/mnt/with space/store.db", "fuse.sshfs", True),
        ("/home/me/store.db", "ext4", False),
        ("/mnt/share/local/store.db", "xfs", False),
    ],
)
def test_a_path_is_on_its_deepest_and_last_mount(path: str, kind: str, is_network: bool) -> None:
    mount = mount_of(PurePosixPath(path), parse_mountinfo(MOUNTINFO))

    assert mount is not None
    assert (mount.kind, mount.is_network) == (kind, is_network)


def test_without_mounts_nothing_is_known() -> None:
    assert mount_of(PurePosixPath("/a"), parse_mountinfo("")) is None


@pytest.mark.parametrize("kind", ["nfs", "cifs", "smb3", "9p", "lustre", "ceph", "glusterfs", "fuse.s3fs"])
def test_file_systems_of_a_network_are_known(kind: str) -> None:
    (mount,) = parse_mountinfo(f"1 0 0:1 / / rw - {kind} source rw")

    assert mount.is_network


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "virtiofs", "fuseblk"])
def test_local_file_systems_are_not_refused(kind: str) -> None:
    (mount,) = parse_mountinfo(f"1 0 0:1 / / rw - {kind} source rw")

    assert not mount.is_network
