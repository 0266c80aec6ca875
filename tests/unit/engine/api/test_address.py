"""Where an engine is found."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from airscrew.engine.api import address as addresses
from airscrew.engine.api.address import TcpAddress, UnixAddress, parse_address
from airscrew.engine.api.client import secured
from airscrew.engine.api.tls import ClientTls
from airscrew.idl.errors import UsageError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", TcpAddress("127.0.0.1", 80)),
        ("localhost:0", TcpAddress("127.0.0.1", 0)),
        ("[::1]:8787", TcpAddress("::1", 8787)),
        ("tls://10.0.0.1:80", TcpAddress("10.0.0.1", 80, tls=True)),
        ("tls://[::1]:80", TcpAddress("::1", 80, tls=True)),
        ("example.org:80", TcpAddress("example.org", 80)),
        ("unix:/a/b", UnixAddress(Path("/a/b"))),
        ("unix:///a/b", UnixAddress(Path("/a/b"))),
    ],
)
def test_an_address_is_read_and_written(text: str, address: addresses.Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["", "80", ":80", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "http://h:1"])
def test_what_is_no_address_says_what_one_is(text: str) -> None:
    with pytest.raises(UsageError, match="is not valid: use HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize("text", ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "example.org:1", "127.0.0.1.example.org:1"])
def test_a_host_beyond_this_machine_is_spoken_to_by_tls_alone_unless_that_is_said(text: str) -> None:
    address = parse_address(text)

    with pytest.raises(UsageError, match="is not on this machine: use TLS"):
        secured(address, None, plaintext=False)
    assert secured(address, None, plaintext=True) is None
    assert secured(address, ClientTls(), plaintext=False) == ClientTls()
    assert secured(parse_address(f"tls://{text}"), None, plaintext=False) == ClientTls()


@pytest.mark.parametrize("text", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/a"])
def test_this_machine_is_spoken_to_in_plain_text(text: str) -> None:
    assert secured(parse_address(text), None, plaintext=False) is None


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "run").chmod(0o755)

    with pytest.raises(UsageError, match="chmod 700"):
        addresses.prepare_socket(UnixAddress(tmp_path / "run" / "s"))


def test_a_link_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(tmp_path / "real")

    with pytest.raises(UsageError, match="is not a folder of this user"):
        addresses.prepare_socket(UnixAddress(tmp_path / "run" / "s"))


def test_a_socket_without_a_listener_does_not_answer(tmp_path: Path) -> None:
    address = addresses.socket_beside(tmp_path / "state.db")
    path = addresses.prepare_socket(address)

    assert not addresses.is_answering(address)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert not addresses.is_answering(address)
        listener.listen()
        assert addresses.is_answering(address)
    assert not addresses.is_answering(address)


def test_a_short_path_that_is_used_again_is_no_longer_a_link(tmp_path: Path) -> None:
    address = UnixAddress(tmp_path / "run" / "s")
    (tmp_path / "run").mkdir(mode=0o700)
    address.path.symlink_to(tmp_path / "elsewhere")

    assert addresses.prepare_socket(address) == address.path
    assert not address.path.is_symlink()


@pytest.mark.parametrize("content", ["", "\n", "märchen\n"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)

    with pytest.raises(UsageError, match="holds no token"):
        addresses.read_token(tmp_path / "token")
