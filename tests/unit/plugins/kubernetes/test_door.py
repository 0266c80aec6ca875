"""
The session with a cluster, over a server of a few lines.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp.connector
import pytest

from airscrew.plugins.kubernetes.api.connection import ClusterConfig, open_connection

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters: [{name: test, cluster: {server: "http://127.0.0.1:%d"}}]
users: [{name: test, user: {token: nobody}}]
"""


class Server:
    """Answers every request with nothing, and counts its connections."""

    def __init__(self) -> None:
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()


@pytest.mark.parametrize(("idle", "connections"), [(60.0, 1), (90.0, 2)], ids=["a minute", "longer than the server"])
async def test_an_idle_connection_is_used_again_for_as_long_as_the_server_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, idle: float, connections: int
) -> None:
    server, later = Server(), 0.0
    monkeypatch.setattr(aiohttp.connector, "monotonic", lambda: time.monotonic() + later)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(KUBECONFIG % listening.sockets[0].getsockname()[1])
        async with open_connection(ClusterConfig(kubeconfig=str(kubeconfig))) as connection:
            for _ in range(2):
                assert (await connection.request("GET", "/version")).is_good
                later += idle

    assert server.connections == connections
