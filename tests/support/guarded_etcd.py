"""
An etcd that wants TLS, a client's certificate, a user and a password.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.support.etcd import Etcd, start_etcd
from tests.support.tls import Certificates, make_certificates

from airscrew.state.etcd.address import EtcdAddress
from airscrew.state.etcd.link import Link
from airscrew.state.etcd.options import EtcdOptions
from airscrew.state.etcd.wire import rpc


@dataclass(frozen=True)
class Guarded:
    """An etcd with TLS, its certificates, and the query of an address that is let in."""

    etcd: Etcd
    certificates: Certificates

    @property
    def query(self) -> str:
        files = self.certificates
        return f"?ca={files.ca}&cert={files.client.cert}&key={files.client.key}"


def start_guarded(stack: ExitStack, folder: Path) -> Guarded:
    """Start one that ends with the stack."""
    files = make_certificates(folder / "tls")
    options = (
        *("--cert-file", str(files.server.cert), "--key-file", str(files.server.key)),
        *("--trusted-ca-file", str(files.ca), "--client-cert-auth", "--auth-token-ttl", "1"),
    )
    return Guarded(start_etcd(stack, folder / "etcd", options=options, scheme="https"), files)


async def add_users(guarded: Guarded, name: str, password: str) -> None:
    """Switch logins on: root, and a user who may do what it likes below ``/test/``."""
    address = EtcdAddress.parse(guarded.etcd.new_url(guarded.query))
    right = rpc.Permission(permType=rpc.Permission.READWRITE, key=b"/test/", range_end=b"/test0")
    async with Link(address, EtcdOptions()) as link:
        for method, request in (
            ("UserAdd", rpc.AuthUserAddRequest(name="root", password="root")),
            ("RoleAdd", rpc.AuthRoleAddRequest(name="root")),
            ("UserGrantRole", rpc.AuthUserGrantRoleRequest(user="root", role="root")),
            ("UserAdd", rpc.AuthUserAddRequest(name=name, password=password)),
            ("RoleAdd", rpc.AuthRoleAddRequest(name="test")),
            ("RoleGrantPermission", rpc.AuthRoleGrantPermissionRequest(name="test", perm=right)),
            ("UserGrantRole", rpc.AuthUserGrantRoleRequest(user=name, role="test")),
            ("AuthEnable", rpc.AuthEnableRequest()),
        ):
            await link.call(lambda member, method=method: getattr(member.auth, method), request)
