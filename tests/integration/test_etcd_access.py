"""
An etcd that wants TLS, a client's certificate, a user and a password.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.guarded_etcd import Guarded, add_users, start_guarded
from tests.support.tls import make_certificates

from airscrew.idl.errors import UsageError
from airscrew.state.errors import StoreUnavailableError
from airscrew.state.store import Put
from airscrew.state.urls import open_store


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    with ExitStack() as stack:
        yield start_guarded(stack, tmp_path)


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


async def test_certificates_that_are_replaced_are_taken_up_while_it_runs(guarded: Guarded, tmp_path: Path) -> None:
    server = guarded.etcd.servers[0]
    async with open_store(guarded.etcd.new_url(guarded.query)) as store:
        await store.txn((), [Put("a", b"1")])
        watching = store.watch("a", "b", from_revision=1)
        assert [event.value for event in await anext(watching)] == [b"1"]
        server.kill()
        make_certificates(tmp_path / "tls")  # by another authority: who trusts the old one is let in no more
        server.start()
        server.wait_ready()

        async with asyncio.timeout(60):
            while True:
                try:
                    await store.txn((), [Put("a", b"2")])
                    break
                except StoreUnavailableError:
                    await asyncio.sleep(0.1)
            assert (await anext(watching))[-1].value == b"2"
        await watching.aclose()


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
