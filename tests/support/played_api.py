"""
An API server that a test plays: what is listed, what watches tell, and in which order, is up to the test.

For moments that no real server can be held at. It lies where it is not asked: it has no defaults, no admission, no
conflicts, and one watch tells of every kind.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from typing_extensions import override

from airscrew.plugins.kubernetes.api.connection import Connection, Reply, StreamRefusedError

Json = dict[str, Any]


class PlayedApi(Connection):
    """
    The API server.

    Attributes:
        listed: What lists answer, by path.
        answer: What other requests are answered; by default that there is nothing.
        refuses_watch: The status that a watch is refused with; 0 to let it be.
        requests: What was sent.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.listed: dict[str, list[Json]] = {}
        self.answer: Callable[[str, str, bytes | None], Reply] = lambda *_: Reply(404)
        self.refuses_watch = 0
        self.requests: list[tuple[str, str]] = []
        self._watches: dict[str, list[asyncio.Queue[bytes]]] = {}

    @override
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        kind: str = "application/json",
        timeout: float = 30.0,
    ) -> Reply:
        self.requests.append((method, path))
        self.counts[method] = self.counts.get(method, 0) + 1
        if method == "GET" and query is not None:
            found = {"metadata": {"resourceVersion": "100"}, "items": self.listed.get(path, [])}
            return Reply(200, json.dumps(found).encode())
        return self.answer(method, path, body)

    @override
    async def stream(self, path: str, *, query: Mapping[str, str], idle: float) -> AsyncIterator[bytes]:
        self.counts["WATCH"] = self.counts.get("WATCH", 0) + 1
        if self.refuses_watch:
            raise StreamRefusedError(Reply(self.refuses_watch, b"{}"))
        lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._watches.setdefault(path, []).append(lines)
        while True:
            yield await lines.get()

    def tell(self, path: str, change: str, item: Json) -> None:
        """Let the watches of a path tell of a change."""
        line = json.dumps({"type": change, "object": item}).encode()
        for lines in self._watches.get(path, []):
            lines.put_nowait(line)

    def is_watched(self, path: str) -> bool:
        """Whether anybody watches a path."""
        return bool(self._watches.get(path))
