"""
Certificates for the two ends of a connection on 127.0.0.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.pki import Authority, Signed


@dataclass(frozen=True)
class Certificates:
    """All that the two ends of a connection need."""

    ca: Path
    server: Signed
    client: Signed


def make_certificates(folder: Path) -> Certificates:
    """Write them into a folder."""
    authority = Authority(folder)
    server, client = (authority.sign(name, name, hosts=["127.0.0.1"]) for name in ("server", "client"))
    return Certificates(authority.cert, server, client)
