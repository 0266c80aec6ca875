"""
An etcd that wants TLS, a client's certificate, a user and a password.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.etcd import Etcd, start_etcd
from tests.support.tls import Certificates, make_certificates

from airscrew.idl.errors import UsageError
from airscrew.state.errors import StoreUnavailableError
from airscrew.state.etcd.address import EtcdAddress
from airscrew.state.etcd.link import Link
from airscrew.state.etcd.options import EtcdOptions
from airscrew.state.etcd.wire import rpc
from airscrew.state.store import Put
from airscrew.state.urls import open_store


@dataclass(frozen=True)
class Guarded:
    """An etcd with TLS, its certificates, and the query of an address that is let in."""

    etcd: Etcd
    certificates: Certificates

    @property
    def query(self) -> str:
        files = self.certificates
        return f"?ca={files.ca}&cert={files.client.cert}&key={files.client.key}"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    files = make_certificates(tmp_path / "tls")
    options = (
        *("--cert-file", str(files.server.cert), "--key-file", str(files.server.key)),
        *("--trusted-ca-file", str(files.ca), "--client-cert-auth", "--auth-token-ttl", "1"),
    )
    with ExitStack() as stack:
        yield Guarded(start_etcd(stack, tmp_path / "etcd", options=options, scheme="https"), files)


async def write_and_read(url: str) -> None:
    async with open_store(url) as store:
        await store.txn((), [Put("a", b"1")])
        assert await store.get("a") is not None


async def test_certificates_let_a_client_in(guarded: Guarded) -> None:
    await write_and_read(guarded.etcd.new_url(guarded.query))


@pytest.mark.filterwarnings("default")
async def test_without_them_it_stays_out(guarded: Guarded) -> None:
    for query in ("", f"?ca={guarded.certificates.ca}"):
        with pytest.raises(StoreUnavailableError):
            await write_and_read(guarded.etcd.new_url(query))
    with pytest.raises(UsageError, match=r"none\.pem, named in the etcd address, cannot be read"):
        await write_and_read(guarded.etcd.new_url("?ca=none.pem"))


async def test_a_user_is_let_in_by_password_and_again_when_the_login_runs_out(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_users(guarded, "me", "right")
    (tmp_path / "password").write_text("right\n")
    url = guarded.etcd.new_url(f"{guarded.query}&user=me&password-file={tmp_path}/password")

    async with open_store(url) as store:
        watching = store.watch("a", "b", from_revision=1)
        async with asyncio.timeout(30):
            for value in (b"1", b"2"):
                await store.txn((), [Put("a", value)])
                assert [event.value for event in await anext(watching)] == [value]
                assert (await store.status()).revision
                await store.keep_alive(await store.grant_lease(5))
                await asyncio.sleep(2.5)  # longer than a login lasts
        await watching.aclose()

    monkeypatch.setenv("AIRSCREW_ETCD_PASSWORD", "wrong")
    with pytest.raises(UsageError, match="does not let us in"):
        await write_and_read(guarded.etcd.new_url(f"{guarded.query}&user=me"))


async def test_a_user_without_rights_below_the_prefix_is_told(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_users(guarded, "me", "right")
    monkeypatch.setenv("AIRSCREW_ETCD_PASSWORD", "right")
    url = guarded.etcd.new_url(f"{guarded.query}&user=me").replace("/test/", "/elsewhere/")

    with pytest.raises(UsageError, match="permission denied"):
        await write_and_read(url)


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
