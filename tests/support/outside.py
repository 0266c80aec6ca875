"""
A deployed engine from outside of its cluster, as the page on deploying says: by a forwarded port, with the certificate
and the token that the chart made.
"""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airscrew.engine.testing.cluster.cluster import Cluster


def airscrew_from_outside(cluster: Cluster, namespace: str, folder: Path, *words: str) -> str:
    """Run a command against the release ``airscrew`` of a namespace, and return what it prints."""
    folder.mkdir(exist_ok=True)
    for secret, key in (("airscrew-token", "token"), ("airscrew-api", "ca.crt")):
        data = cluster.look(f"secret/{secret}", f".data.{key.replace('.', chr(92) + '.')}", namespace)
        (folder / key).write_bytes(base64.b64decode(data))
    with _forwarded(cluster, namespace) as port:
        command = [sys.executable, "-m", "airscrew.engine.cli", "--server", f"localhost:{port}"]
        command += ["--ca", str(folder / "ca.crt"), "--token-file", str(folder / "token"), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def _forwarded(cluster: Cluster, namespace: str) -> Iterator[int]:
    """Forward a free port of this machine to the interface."""
    command = [str(cluster.program), "--kubeconfig", str(cluster.kubeconfig), "-n", namespace]
    command += ["port-forward", "service/airscrew", ":7077"]
    forward = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert forward.stdout is not None
        told = re.match(r"Forwarding from 127\.0\.0\.1:(\d+)", forward.stdout.readline())
        assert told is not None, "the port is not forwarded"
        yield int(told.group(1))
    finally:
        forward.terminate()
        forward.wait()
        if forward.stdout is not None:
            forward.stdout.close()
