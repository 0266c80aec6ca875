from __future__ import annotations

from pathlib import Path

import pytest

from airscrew.idl.errors import UsageError
from airscrew.state.etcd.address import EtcdAddress


@pytest.mark.parametrize(
    ("url", "endpoints", "prefix"),
    [
        ("etcd://host", ("host:2379",), "/airscrew/"),
        ("etcd://host:1234/", ("host:1234",), "/airscrew/"),
        ("etcd://a:1,b:2,c/team/one", ("a:1", "b:2", "c:2379"), "/team/one/"),
        ("etcd://[::1]:2379/x/", ("[::1]:2379",), "/x/"),
    ],
)
def test_an_address_names_members_and_a_prefix(url: str, endpoints: tuple[str, ...], prefix: str) -> None:
    address = EtcdAddress.parse(url)

    assert address.endpoints == endpoints
    assert address.prefix == prefix
    assert not address.tls


def test_an_address_with_tls_names_its_files() -> None:
    address = EtcdAddress.parse(
        "etcds://h/p?ca=ca.pem&cert=c.pem&key=k.pem&server-name=etcd&user=me&quota=100&compact=off"
    )

    assert address.tls
    assert (address.ca, address.cert, address.key, address.server_name) == ("ca.pem", "c.pem", "k.pem", "etcd")
    assert (address.user, address.quota_bytes, address.compacts) == ("me", 100, False)
    assert str(address) == "etcds://h:2379/p"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("etcd:", "write etcd://HOST:PORT"),
        ("etcd:///prefix", "write etcd://HOST:PORT"),
        ("etcd://user:secret@host/p", "no user and password before host"),
        ("etcd://host?password=secret", "password-file="),
        ("etcd://host:port/p", "'host:port' is no HOST:PORT"),
        ("etcd://a,,b", "'' is no HOST:PORT"),
        ("etcd://host?ca=x", "write etcds://"),
        ("etcds://host?cert=x", "both, cert=FILE and key=FILE"),
        ("etcd://host?speed=9", "knows no speed="),
        ("etcd://host?user=", "user= is empty"),
        ("etcd://host?user=a&user=b", "twice"),
        ("etcd://host?user", "NAME=VALUE"),
        ("etcd://host?quota=big", "number of bytes"),
        ("etcd://host?compact=maybe", "on or off"),
        ("etcd://host?password-file=a&password-env=b", "one of"),
    ],
)
def test_a_wrong_address_is_refused_in_one_line(url: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        EtcdAddress.parse(url)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_password_comes_from_a_file_or_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    by_file = EtcdAddress.parse(f"etcd://h?user=me&password-file={file}")
    by_variable = EtcdAddress.parse("etcd://h?user=me&password-env=MINE")

    assert by_file.password({}) == "s3cret"
    assert by_variable.password({"MINE": "other"}) == "other"
    assert EtcdAddress.parse("etcd://h?user=me").password({"AIRSCREW_ETCD_PASSWORD": "x"}) == "x"


def test_a_password_that_is_not_there_is_told_by_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="set AIRSCREW_ETCD_PASSWORD"):
        EtcdAddress.parse("etcd://h?user=me").password({})
    with pytest.raises(UsageError, match="No such file"):
        EtcdAddress.parse(f"etcd://h?user=me&password-file={tmp_path}/none").password({})
