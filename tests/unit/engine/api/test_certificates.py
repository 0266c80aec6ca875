"""Certificates in files: what is good, and what is said of what is not. The certificates are real."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tests.support.pki import Authority, Signed, write_key

from airscrew.engine.api.certificates import read_authorities, read_chain, read_pair
from airscrew.idl.errors import UsageError

NOW = time.time()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Signed:
    return authority.sign("server", "server", hosts=["127.0.0.1"])


@pytest.mark.parametrize("days", [(-1.0, 2.0), (-20_000.0, 3.0), (-1.0, 12_000.0), (-1.0, 100_000.0)])
def test_from_when_to_when_it_is_valid_is_read_as_others_read_it(
    authority: Authority, days: tuple[float, float]
) -> None:
    signed = authority.sign("dated", "dated", days=days)
    judged = x509.load_pem_x509_certificate(signed.cert.read_bytes())

    chain, key = read_pair(signed.cert, signed.key, NOW)

    assert chain.ends == judged.not_valid_after_utc.timestamp()
    assert (chain.pem, key) == (signed.cert.read_bytes(), signed.key.read_bytes())
    with pytest.raises(UsageError, match="is not valid before"):
        read_chain(signed.cert, judged.not_valid_before_utc.timestamp() - 1)
    with pytest.raises(UsageError, match="has expired on"):
        read_chain(signed.cert, judged.not_valid_after_utc.timestamp() + 1)


def test_of_a_chain_the_first_end_counts(authority: Authority, tmp_path: Path) -> None:
    leaf, other = authority.sign("a", "a", days=(-1, 30)), authority.sign("b", "b", days=(-1, 10))
    file = tmp_path / "chain.pem"
    file.write_bytes(b"what comes before\n" + leaf.cert.read_bytes() + other.cert.read_bytes())

    ends = x509.load_pem_x509_certificate(other.cert.read_bytes()).not_valid_after_utc.timestamp()

    assert read_chain(file, NOW).ends == ends


def test_a_file_that_is_not_there_is_named(server: Signed, tmp_path: Path) -> None:
    none = tmp_path / "none.pem"

    with pytest.raises(UsageError, match=rf"^certificate {none} cannot be read: No such file or directory$"):
        read_pair(none, server.key, NOW)
    with pytest.raises(UsageError, match=rf"^key {none} cannot be read: No such file or directory$"):
        read_pair(server.cert, none, NOW)
    with pytest.raises(UsageError, match=rf"^certificate {none} cannot be read"):
        read_authorities(none, NOW)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"\xff\xfe",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_certificate_is_named(server: Signed, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.pem"
    file.write_bytes(content)

    with pytest.raises(UsageError, match=rf"^certificate {file} is not a certificate in PEM$"):
        read_pair(file, server.key, NOW)
    with pytest.raises(UsageError, match=rf"^certificate {file} is not a certificate in PEM$"):
        read_authorities(file, NOW)


def test_a_certificate_that_is_cut_off_anywhere_is_named(server: Signed, tmp_path: Path) -> None:
    file, lines = tmp_path / "cut.pem", server.cert.read_text().splitlines()
    for left in range(1, len(lines) - 2):
        file.write_text("\n".join([*lines[:left], lines[-1], ""]))

        with pytest.raises(UsageError, match="is not a certificate in PEM"):
            read_chain(file, NOW)


def test_a_key_of_another_certificate_is_told_apart_from_one_that_is_none(server: Signed, tmp_path: Path) -> None:
    other, garbage = write_key(tmp_path / "other.key"), tmp_path / "garbage.key"
    garbage.write_text("garbage")

    with pytest.raises(UsageError, match=rf"^key {other} does not belong to certificate {server.cert}$"):
        read_pair(server.cert, other, NOW)
    with pytest.raises(UsageError, match=rf"^key {garbage} is not a private key in PEM without a password$"):
        read_pair(server.cert, garbage, NOW)


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(server: Signed, tmp_path: Path) -> None:
    key = serialization.load_pem_private_key(server.key.read_bytes(), None)
    file = tmp_path / "locked.key"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )

    with pytest.raises(UsageError, match="without a password"):
        read_pair(server.cert, file, NOW)


def test_an_authority_that_is_over_is_no_hindrance_beside_one_that_is_not(tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old", days=(-9, -1)), Authority(tmp_path / "new")
    both = tmp_path / "both.pem"
    both.write_bytes(old.cert.read_bytes() + new.cert.read_bytes())

    assert read_authorities(both, NOW) == both.read_bytes()
    with pytest.raises(UsageError, match=rf"^no authority in {old.cert} is valid now; the last one ended on "):
        read_authorities(old.cert, NOW)
