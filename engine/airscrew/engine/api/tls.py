"""
TLS for the service: what a server shows and asks for, and what a client does.

Guarantees: files that change are read again, by a server at the next handshake, by a client when it connects; a new
file that is no good is told in the log, and the last good one stays. A key is never kept anywhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import grpc

from airscrew.engine.api.certificates import read_authorities, read_pair
from airscrew.idl.errors import UsageError

if TYPE_CHECKING:
    from grpc import ChannelCredentials, ServerCertificateConfiguration, ServerCredentials

_log = logging.getLogger(__name__)

Stamps = tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class ServerTls:
    """
    What a server shows.

    Attributes:
        certificate: Its certificate, with those that vouch for it.
        key: The key of it.
        client_ca: Who vouches for clients; None when they need no certificate.
        now: The wall clock, Unix seconds.
        ends: When the certificate ends to be valid, Unix seconds; known once it is read.
    """

    certificate: Path
    key: Path
    client_ca: Path | None
    now: Callable[[], float]
    ends: float = field(default=0.0, init=False)
    _stamps: Stamps = field(default=(), init=False)

    def credentials(self) -> ServerCredentials:
        """
        Make the credentials of a server.

        Raises:
            UsageError: A file is no good.
        """
        stamps = self._look()
        first = self._read()
        self._stamps = stamps
        # What is told of gRPC's types leaves out the None that says that nothing has changed.
        fetch = cast("Callable[[], ServerCertificateConfiguration]", self._changed)
        return grpc.dynamic_ssl_server_credentials(
            first, fetch, require_client_authentication=self.client_ca is not None
        )

    def _changed(self) -> ServerCertificateConfiguration | None:
        """Read the files again when they have changed; called at each handshake, by threads of gRPC's."""
        try:
            stamps = self._look()
            if stamps == self._stamps:
                return None
            self._stamps = stamps
            return self._read()
        except UsageError as error:
            _log.warning("the certificate that is served stays as it was", extra={"why": str(error)})
        except Exception as error:  # noqa: BLE001 - a wall: gRPC must not see it
            _log.error("the certificate cannot be looked at", exc_info=error)
        return None

    def _look(self) -> Stamps:
        files = [self.certificate, self.key, *([self.client_ca] if self.client_ca else [])]
        return tuple(stamp_of(file) for file in files)

    def _read(self) -> ServerCertificateConfiguration:
        chain, key = read_pair(self.certificate, self.key, self.now())
        authorities = read_authorities(self.client_ca, self.now()) if self.client_ca else None
        self.ends = chain.ends
        return grpc.ssl_server_certificate_configuration([(key, chain.pem)], root_certificates=authorities)


def stamp_of(file: Path) -> tuple[int, int, int]:
    """Return what differs once a file has changed; zeros when it is not there."""
    try:
        status = file.stat()
    except OSError:
        return (0, 0, 0)
    return status.st_mtime_ns, status.st_ino, status.st_size


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """
    What a client shows and trusts.

    Attributes:
        ca: Who vouches for the server; None for the system's authorities.
        certificate: What it shows; None for nothing.
        key: The key of it.
        server_name: What the server's certificate is made out to, when it is not the host; empty for the host.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""

    def credentials(self, now: float) -> ChannelCredentials:
        """
        Make the credentials of a channel.

        Args:
            now: Unix seconds.

        Raises:
            UsageError: A file is no good.
        """
        if (self.certificate is None) is not (self.key is None):
            raise UsageError("a client's certificate and its key belong together: give both, or neither")
        pair = read_pair(self.certificate, self.key, now) if self.certificate and self.key else None
        return grpc.ssl_channel_credentials(
            root_certificates=read_authorities(self.ca, now) if self.ca else None,
            private_key=pair[1] if pair else None,
            certificate_chain=pair[0].pem if pair else None,
        )
