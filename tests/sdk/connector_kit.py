"""
The real connector servers as a test uses them, and an environment with the executor for each way to them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support.literal_maps import literals

from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.template import TaskTemplate, make_template
from airscrew.idl.wire import WireForm
from airscrew.plugins.connector import ConnectorExecutor

CONNECTORS = Path(__file__).parent / "connectors"
BIN = Path(sys.executable).parent
START_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def served(
    command: list[str], port: int, folder: Path, *, path: Path = CONNECTORS
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a connector server until the end of the block; it is ready when its port answers."""
    environment = {**os.environ, "PYTHONPATH": str(path)}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        _wait_for(port, process, folder / "server.log")
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"the server does not answer: {log.read_text()[-2000:]}")


ON_LOOPBACK = """
import runpy, sys
import grpc.aio, prometheus_client
from grpc.aio import _server

bind, serve = _server.Server.add_insecure_port, prometheus_client.start_http_server
_server.Server.add_insecure_port = lambda self, address: bind(self, address.replace("[::]", "127.0.0.1"))
prometheus_client.start_http_server = lambda port, addr="127.0.0.1", **more: serve(port, addr="127.0.0.1", **more)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Both servers listen on every address of the machine and cannot be told otherwise; a test's listens on loopback."""


def flytekit_server(port: int, *modules: str) -> list[str]:
    """Say how flytekit's own server is started."""
    return [*_on_loopback("pyflyte", "serve", "connector"), *_options(port, modules)]


def flyte2_server(port: int, *modules: str) -> list[str]:
    """Say how Flyte 2's own server is started."""
    return [*_on_loopback("c0"), *_options(port, modules)]


def _on_loopback(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", ON_LOOPBACK, str(BIN / program), *arguments]


def _options(port: int, modules: Sequence[str]) -> list[str]:
    ports = ["--port", str(port), "--prometheus_port", str(free_port())]
    return [*ports, *(part for module in modules for part in ("--modules", module))]


def remote(port: int, **more: object) -> dict[str, object]:
    """Configure a server on loopback."""
    return {"endpoint": f"127.0.0.1:{port}", "insecure": True, "interval": 0.2, "timeout": 5.0, **more}


def in_process(module: str, *, sdk: str = "flytekit", path: Path = CONNECTORS, **more: object) -> dict[str, object]:
    """Configure connectors in a process of their own."""
    orders = {"sdk": sdk, "modules": [module], "path": [str(path)]}
    return {"in_process": orders, "interval": 0.2, "timeout": 5.0, **more}


def environment_of(folder: Path, service: Mapping[str, object], **config: object) -> ExecutorEnvironment[Any]:
    """Make an environment with one service."""
    return ExecutorEnvironment(
        ConnectorExecutor,
        config={"services": {"files": dict(service)}, "discovery_interval": 1.0, **config},
        state_directory=str(folder / "state"),
        root=(folder / "data").as_uri(),
        secrets={"jobs/token": "s3cr3t-v4lue"},
    )


def task(task_type: str = "file_job", version: int = 0) -> TaskTemplate:
    return make_template(task_type, type_version=version, inputs={"how": str}, outputs={"answer": str})


def task2() -> TaskTemplate:
    """The same in the wire form of Flyte 2, where the interface is a list."""
    from flyteidl2.core.tasks_pb2 import TaskTemplate as Message2

    raw = Message2.FromString(task().raw).SerializeToString(deterministic=True)
    return TaskTemplate(wire=WireForm.FLYTE2, raw=raw)


def attempt_of(environment: ExecutorEnvironment[Any], template: TaskTemplate, how: str) -> Any:
    """Make an attempt with a key of its own: the server and its jobs are shared by tests."""
    return environment.attempt(template, literals(how=(how, str)), name=f"task-{uuid4().hex}")


def jobs(folder: Path, key: str = "") -> list[dict[str, Any]]:
    """Read the jobs that were made, without asking the executor."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"{key}*.json"))]


def made(folder: Path, key: str) -> Path:
    """Return the file of the one job of a key."""
    (path,) = folder.glob(f"{key}*.json")
    return path


def text_at(uri: str) -> str:
    return Path(uri.removeprefix("file://")).read_text()
