"""The service over TLS and mutual TLS, with real certificates."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.fake_engine import FakeEngineApi
from tests.support.pki import Authority, Signed

from airscrew.engine.api.adapter import ServerInfo
from airscrew.engine.api.address import TcpAddress, make_token
from airscrew.engine.api.client import connect
from airscrew.engine.api.model import ApiError, ListRequest
from airscrew.engine.api.server import Port, serving
from airscrew.engine.api.tls import ClientTls, ServerTls
from airscrew.engine.client import Client
from airscrew.idl.errors import UsageError

INFO = ServerInfo(version="1.2.3", pid=42, started_at=7.0, home="/home")
ANYWHERE, LOOPBACK = TcpAddress("0.0.0.0", 0), TcpAddress("127.0.0.1", 0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def server(authority: Authority) -> Signed:
    return authority.sign("server", "server", hosts=["127.0.0.1", "engine.test"])


@pytest.fixture
def token(tmp_path: Path) -> Path:
    return tmp_path / "token"


def guard(server: Signed, client_ca: Path | None = None, **more: bool) -> Port:
    return Port(tls=ServerTls(server.cert, server.key, client_ca, time.time), **more)


async def answers(address: object, token: Path | None, tls: ClientTls | None) -> bool:
    assert isinstance(address, TcpAddress)
    async with connect(address, token, tls=tls) as client:
        return (await client.list(ListRequest())).executions == []


def local(bound: object) -> TcpAddress:
    assert isinstance(bound, TcpAddress)
    return TcpAddress("127.0.0.1", bound.port, tls=bound.tls)


async def test_an_engine_is_reached_over_tls_with_the_token(
    fake: FakeEngineApi, authority: Authority, server: Signed, token: Path
) -> None:
    async with serving(fake, ANYWHERE, INFO, token_file=token, port=guard(server)) as bound:
        assert str(bound).startswith("tls://0.0.0.0:")
        assert await answers(local(bound), token, ClientTls(ca=authority.cert))
        with pytest.raises(ApiError, match="the token is missing or wrong"):
            await answers(local(bound), None, ClientTls(ca=authority.cert))


async def test_a_server_that_somebody_else_vouches_for_is_not_trusted(
    fake: FakeEngineApi, server: Signed, token: Path, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    async with serving(fake, LOOPBACK, INFO, token_file=token, port=guard(server)) as bound:
        with pytest.raises(ApiError, match="no engine answers at tls://127") as caught:
            await answers(bound, token, ClientTls(ca=stranger.cert))
        with pytest.raises(ApiError, match="no engine answers at tls://127"):
            await answers(bound, token, None)  # the system's authorities do not know it either

    assert caught.value.code == "unavailable"


async def test_a_server_of_another_name_is_not_trusted_unless_it_is_named(
    fake: FakeEngineApi, authority: Authority, token: Path
) -> None:
    elsewhere = authority.sign("elsewhere", "elsewhere", hosts=["engine.test"])
    async with serving(fake, LOOPBACK, INFO, token_file=token, port=guard(elsewhere)) as bound:
        with pytest.raises(ApiError, match="no engine answers"):
            await answers(bound, token, ClientTls(ca=authority.cert))
        assert await answers(bound, token, ClientTls(ca=authority.cert, server_name="engine.test"))


async def test_with_mutual_tls_only_a_client_that_is_vouched_for_gets_through(
    fake: FakeEngineApi, authority: Authority, server: Signed, token: Path, tmp_path: Path
) -> None:
    mine, ca = authority.sign("client", "client"), authority.cert
    foreign = Authority(tmp_path / "stranger").sign("client", "client")
    async with serving(fake, LOOPBACK, INFO, token_file=token, port=guard(server, ca)) as bound:
        assert await answers(bound, token, ClientTls(ca=ca, certificate=mine.cert, key=mine.key))
        for stranger in (ClientTls(ca=ca), ClientTls(ca=ca, certificate=foreign.cert, key=foreign.key)):
            with pytest.raises(ApiError, match="want a certificate that it trusts: --cert and --key"):
                await answers(bound, token, stranger)
        with pytest.raises(ApiError, match="the token is missing"):
            await answers(bound, None, ClientTls(ca=ca, certificate=mine.cert, key=mine.key))


async def test_a_certificate_may_be_enough_where_that_is_said(
    fake: FakeEngineApi, authority: Authority, server: Signed
) -> None:
    mine = authority.sign("client", "client")
    port = guard(server, authority.cert, allow_anonymous=True)
    async with serving(fake, ANYWHERE, INFO, port=port) as bound:
        tls = ClientTls(ca=authority.cert, certificate=mine.cert, key=mine.key)
        assert await answers(local(bound), None, tls)


async def test_plain_text_meets_tls_and_is_told(
    fake: FakeEngineApi, authority: Authority, server: Signed, token: Path
) -> None:
    async with serving(fake, LOOPBACK, INFO, token_file=token, port=guard(server)) as bound:
        plain = TcpAddress("127.0.0.1", local(bound).port)
        with pytest.raises(ApiError, match="it may speak TLS: --ca FILE"):
            await answers(plain, token, None)
    async with serving(fake, LOOPBACK, INFO, token_file=token) as bound:
        with pytest.raises(ApiError, match="it may not speak TLS"):
            await answers(bound, token, ClientTls(ca=authority.cert))


async def test_beyond_this_machine_plain_text_is_served_only_where_that_is_said(
    fake: FakeEngineApi, token: Path
) -> None:
    with pytest.raises(UsageError, match=r"0\.0\.0\.0:0 is not on this machine: .* set api\.certificate and api\.key"):
        async with serving(fake, ANYWHERE, INFO, token_file=token):
            pass
    with pytest.raises(UsageError, match="a token file is needed"):
        async with serving(fake, ANYWHERE, INFO, port=Port(allow_plaintext=True)):
            pass
    async with serving(fake, ANYWHERE, INFO, token_file=token, port=Port(allow_plaintext=True)) as bound:
        assert await answers(local(bound), token, None)


@pytest.mark.parametrize("days", [(-9.0, -1.0), (1.0, 9.0)], ids=["expired", "not yet valid"])
async def test_a_certificate_that_is_not_valid_now_is_not_served_nor_shown(
    fake: FakeEngineApi, authority: Authority, token: Path, days: tuple[float, float]
) -> None:
    bad = authority.sign("bad", "bad", hosts=["127.0.0.1"], days=days)

    with pytest.raises(UsageError, match=rf"certificate {bad.cert} (has expired on|is not valid before)"):
        async with serving(fake, LOOPBACK, INFO, token_file=token, port=guard(bad)):
            pass
    with pytest.raises(UsageError, match=rf"certificate {bad.cert} (has expired on|is not valid before)"):
        connect("127.0.0.1:1", tls=ClientTls(ca=authority.cert, certificate=bad.cert, key=bad.key))


def test_a_certificate_without_its_key_is_refused(server: Signed) -> None:
    with pytest.raises(UsageError, match="belong together"):
        connect("127.0.0.1:1", tls=ClientTls(certificate=server.cert))


Copy = Callable[[Signed], None]


@pytest.fixture
def place(tmp_path: Path) -> Signed:
    return Signed(tmp_path / "tls.crt", tmp_path / "tls.key")


@pytest.fixture
def put(place: Signed) -> Copy:
    """Put a certificate in the place that is served from, as a mounted secret changes: each file at once."""

    def copy(signed: Signed) -> None:
        for target, source in ((place.cert, signed.cert), (place.key, signed.key)):
            draft = target.with_suffix(".new")
            draft.write_bytes(source.read_bytes())
            draft.replace(target)

    return copy


async def test_a_new_certificate_is_served_without_a_restart(
    fake: FakeEngineApi, authority: Authority, server: Signed, place: Signed, put: Copy, token: Path, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    put(server)
    port = guard(place)
    assert port.tls is not None
    async with serving(fake, LOOPBACK, INFO, token_file=token, port=port) as bound:
        assert await answers(bound, token, ClientTls(ca=authority.cert))
        before = port.tls.ends

        put(other.sign("server", "server", hosts=["127.0.0.1"], days=(-1, 30)))

        assert await answers(bound, token, ClientTls(ca=other.cert))
        assert port.tls.ends > before + 20 * 86_400
        with pytest.raises(ApiError, match="no engine answers"):
            await answers(bound, token, ClientTls(ca=authority.cert))


async def test_a_new_certificate_that_is_no_good_is_told_once_and_the_old_one_stays(
    fake: FakeEngineApi,
    authority: Authority,
    server: Signed,
    place: Signed,
    put: Copy,
    token: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    put(server)
    async with serving(fake, LOOPBACK, INFO, token_file=token, port=guard(place)) as bound:
        with caplog.at_level(logging.WARNING):
            place.key.write_text("garbage")
            for _ in range(3):
                assert await answers(bound, token, ClientTls(ca=authority.cert))
            place.key.unlink()
            assert await answers(bound, token, ClientTls(ca=authority.cert))

    reasons = [str(vars(record)["why"]) for record in caplog.records if "certificate" in record.message]
    assert reasons == [
        f"key {place.key} is not a private key in PEM without a password",
        f"key {place.key} cannot be read: No such file or directory",
    ]


def write_token(file: Path, text: str) -> Path:
    """Put another file in the place of a token's."""
    draft = file.with_name("draft")
    draft.touch(0o600)
    draft.write_text(text)
    return draft.replace(file)


async def test_a_new_token_is_asked_for_without_a_restart(
    fake: FakeEngineApi, token: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_token(token, "first\n")
    old, new = write_token(tmp_path / "old", "first\n"), write_token(tmp_path / "new", "second\n")
    async with serving(fake, LOOPBACK, INFO, token_file=token) as bound:
        assert await answers(bound, old, None)

        write_token(token, "second\n")

        assert await answers(bound, new, None)
        with pytest.raises(ApiError, match="the token is missing or wrong"):
            await answers(bound, old, None)
        with caplog.at_level(logging.WARNING):
            write_token(token, "")
            assert await answers(bound, new, None)

    assert f"token file {token} holds no token" in str([vars(record).get("why") for record in caplog.records])


def test_a_token_that_a_group_may_read_is_taken(token: Path) -> None:
    token.write_text("mounted\n")
    token.chmod(0o440)
    assert make_token(token) == "mounted"
    token.chmod(0o660)
    with pytest.raises(UsageError, match="is open to other users: chmod 600"):
        make_token(token)


def test_a_token_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"token file .*/file/token cannot be made: File exists"):
        make_token(tmp_path / "file" / "token")


async def test_the_plain_client_speaks_tls_too(
    fake: FakeEngineApi, authority: Authority, server: Signed, token: Path
) -> None:
    def ask(address: str) -> str:
        with Client.connect(address, token_file=token, tls=ClientTls(ca=authority.cert)) as client:
            return client.info().version

    async with serving(fake, LOOPBACK, INFO, token_file=token, port=guard(server)) as bound:
        assert await asyncio.to_thread(ask, str(bound)) == "1.2.3"
