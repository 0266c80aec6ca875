"""
moto's server: Amazon's services on loopback, in a process that ends with the tests.
"""

from __future__ import annotations

import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import socket
from typing import Any

from tests.support.programs import Program

_PATIENCE_SECONDS = 60.0


@contextmanager
def moto_server(folder: Path) -> Iterator[str]:
    """Run it; yields its address."""
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    program = Program(command, folder / "moto.log", {"AWS_DEFAULT_REGION": "eu-west-1"})
    program.start()
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(program, url)
        yield url
    finally:
        program.stop(hard=True)


def aws_client(service: str, url: str) -> Any:
    """Return Amazon's own client, as a second caller."""
    from botocore.session import get_session

    return get_session().create_client(
        service, "eu-west-1", endpoint_url=url, aws_access_key_id="id", aws_secret_access_key="key"
    )


def _wait(program: Program, url: str) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/moto-api/", timeout=5):
                return
        except OSError:
            if program.has_ended or time.monotonic() > until:
                raise RuntimeError(f"moto did not begin: {program.log.read_text()}") from None
            time.sleep(0.1)
