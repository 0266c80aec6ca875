"""
Certificates and keys in files: read, and looked at before anybody meets them.

Guarantees: what is returned is PEM that belongs together and is valid now; whatever is wrong is one line that names the
file. gRPC alone would only say that a handshake failed, and to the other end.
"""

from __future__ import annotations

import datetime
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airscrew.idl.errors import UsageError

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_VERSION, _UTC_TIME = 0xA0, 0x17
_LONG_FORM = 0x80


@dataclass(frozen=True, slots=True)
class Chain:
    """
    Certificates of a file.

    Attributes:
        pem: As they are in it.
        ends: When the first of them ends to be valid, Unix seconds.
    """

    pem: bytes
    ends: float


def read_pair(certificate: Path, key: Path, now: float) -> tuple[Chain, bytes]:
    """
    Read a certificate, with those that vouch for it, and its key.

    Raises:
        UsageError: A file is no good, or they do not belong together.
    """
    chain = read_chain(certificate, now)
    secret = _read(key, "key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(f"key {key} does not belong to certificate {certificate}") from error
        raise UsageError(f"key {key} is not a private key in PEM without a password") from error
    return chain, secret


def read_chain(file: Path, now: float) -> Chain:
    """
    Read a certificate, with those that vouch for it.

    Raises:
        UsageError: The file is no good, or one of them is not valid now.
    """
    pem, validities = _certificates(file)
    for begins, ends in validities:
        if now > ends:
            raise UsageError(f"certificate {file} has expired on {_date(ends)}: renew it")
        if now < begins:
            raise UsageError(f"certificate {file} is not valid before {_date(begins)}: look at the clock")
    return Chain(pem, min(ends for _, ends in validities))


def read_authorities(file: Path, now: float) -> bytes:
    """
    Read certificates of authorities; those that are over are no hindrance as long as one is not.

    Raises:
        UsageError: The file is no good, or none of them is valid now.
    """
    pem, validities = _certificates(file)
    if not any(begins <= now <= ends for begins, ends in validities):
        raise UsageError(f"no authority in {file} is valid now; the last one ended on {_date(validities[-1][1])}")
    return pem


def _certificates(file: Path) -> tuple[bytes, Sequence[tuple[float, float]]]:
    pem = _read(file, "certificate")
    try:
        found = [_validity(ssl.PEM_cert_to_DER_cert(text)) for text in _PEM.findall(pem.decode())]
    except (ValueError, IndexError) as error:
        raise UsageError(f"certificate {file} is not a certificate in PEM") from error
    if not found:
        raise UsageError(f"certificate {file} is not a certificate in PEM")
    return pem, found


def _read(file: Path, what: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{what} {file} cannot be read: {error.strerror}") from error


def _date(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _validity(der: bytes) -> tuple[float, float]:
    """Return from when to when a certificate is valid: the standard library reads that of authorities alone."""
    _, body, _ = _element(der, 0)
    _, at, _ = _element(der, body)
    tag, _, end = _element(der, at)
    for _ in range(4 if tag == _VERSION else 3):  # version, serial number, algorithm, issuer
        at = end
        _, _, end = _element(der, at)
    _, at, _ = _element(der, at)
    tag, start, end = _element(der, at)
    begins = _time(tag, der[start:end])
    tag, start, end = _element(der, end)
    return begins, _time(tag, der[start:end])


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of an element of DER, where its content begins, and where it ends."""
    size, start = der[at + 1], at + 2
    if size & _LONG_FORM:
        start += size & ~_LONG_FORM
        size = int.from_bytes(der[at + 2 : start], "big")
    if start + size > len(der):
        raise ValueError("the certificate is cut off")
    return der[at], start, start + size


def _time(tag: int, text: bytes) -> float:
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.datetime.strptime(text.decode("ascii"), form).replace(tzinfo=datetime.UTC).timestamp()
