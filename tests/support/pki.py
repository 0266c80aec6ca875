"""
A certificate authority of a test cluster, and the clients and servers that it vouches for.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Signed:
    """A certificate and its key, as files."""

    cert: Path
    key: Path


@dataclass
class Authority:
    """
    Signs.

    Attributes:
        folder: Where everything is written.
        days: From when to when its own certificate is valid, from now.
        cert: Its own certificate.
    """

    folder: Path
    days: tuple[float, float] = (-1 / 24, 2.0)
    cert: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("authority", "")
        own = _builder(self._name, self._key, self.days).issuer_name(self._name)
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        own = own.add_extension(usage, critical=True)
        self.cert = self.folder / "ca.pem"
        self.cert.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def sign(
        self,
        file: str,
        name: str,
        *,
        group: str = "",
        hosts: Sequence[str] = (),
        days: tuple[float, float] = (-1 / 24, 2.0),
    ) -> Signed:
        """
        Vouch for a client, or for a server at some hosts.

        Args:
            file: What the files are called.
            name: The common name: the user, for Kubernetes.
            group: The organization: the user's group.
            hosts: Names and addresses.
            days: From when to when it is valid, from now.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = _builder(_name(name, group), key, days).issuer_name(self._name).add_extension(uses, critical=False)
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
        signed = Signed(self.folder / f"{file}.pem", self.folder / f"{file}.key")
        signed.cert.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        write_key(signed.key, key)
        return signed

    def sign_key(self) -> Path:
        """Write its own key, for those who sign in its name."""
        return write_key(self.folder / "ca.key", self._key)


def write_key(file: Path, key: ec.EllipticCurvePrivateKey | None = None) -> Path:
    """Write a private key, a new one by default, for its owner alone."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    file.touch(0o600)
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return file


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    name: x509.Name, key: ec.EllipticCurvePrivateKey, days: tuple[float, float] = (-1 / 24, 2.0)
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
    )


def _name(name: str, group: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if group:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(parts)
