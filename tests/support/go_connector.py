"""
The executor in Go of ``tests/cluster/connector``: built once, run for a test, its jobs looked at without asking it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.go_modules import build

START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class GoConnector:
    """
    It, at work.

    Attributes:
        endpoint: Where it listens.
        folder: Where its jobs lie.
    """

    endpoint: str
    folder: Path

    def job(self, key: str) -> dict[str, Any] | None:
        path = self.folder / f"{key}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def is_alive(self, key: str) -> bool:
        job = self.job(key)
        ended = job is None or job.get("deleted") or (job["how"] != "endless" and time.time() > job["made"] + 0.5)
        return not ended


def descriptors(folder: Path) -> Path:
    """Write what protobuf knows of the services, for a program that has no generated code of them."""
    from flyteidl.service import agent_pb2
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    found = FileDescriptorSet()
    seen: set[str] = set()

    def add(file: Any) -> None:
        if file.name in seen:
            return
        seen.add(file.name)
        for each in file.dependencies:
            add(each)
        file.CopyToProto(found.file.add())

    add(agent_pb2.DESCRIPTOR)
    path = folder / "descriptors.pb"
    path.write_bytes(found.SerializeToString())
    return path


def template(folder: Path) -> bytes:
    """Have the program make a task template."""
    command = [str(build("connector") / "connector"), str(descriptors(folder)), "template"]
    return subprocess.run(command, capture_output=True, check=True, timeout=30).stdout


@contextmanager
def serve(folder: Path) -> Iterator[GoConnector]:
    """Run it until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    program, described = build("connector") / "connector", descriptors(folder)
    with tempfile.TemporaryDirectory(prefix="go-", dir="/tmp") as short:
        socket = Path(short) / "s"
        environment = {**os.environ, "FILE_JOBS": str(folder)}
        process = subprocess.Popen([str(program), str(described), str(socket)], env=environment)
        try:
            until = time.monotonic() + START_SECONDS
            while not socket.exists():
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.01)
            yield GoConnector(f"unix:{socket}", folder)
        finally:
            process.kill()
            process.wait(timeout=10)
