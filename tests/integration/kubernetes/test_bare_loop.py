"""The bare loop that measurements compare with: it must not stand still when the API server ends its watch."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from aiohttp import web
from tests.support.etcd import free_port

from airscrew.plugins.kubernetes.bare import open_bare_pods


class EndingApi:
    """Knows one Pod; ends the first watch when it has told that the Pod is there, and tells the rest to the next."""

    def __init__(self) -> None:
        self.watched_from: list[str] = []
        self.made = asyncio.Event()
        self.calls: list[str] = []

    def event(self, kind: str, phase: str, version: int) -> bytes:
        metadata = {"name": "bare-0", "uid": "u", "resourceVersion": str(version)}
        return json.dumps({"type": kind, "object": {"metadata": metadata, "status": {"phase": phase}}}).encode() + b"\n"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(request.method)
        if request.method == "POST":
            self.made.set()
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "5", "uid": "u"}})
        self.watched_from.append(request.query["resourceVersion"])
        stream = web.StreamResponse()
        await stream.prepare(request)
        await self.made.wait()
        is_first = len(self.watched_from) == 1
        await stream.write(self.event("ADDED", "Pending", 7) if is_first else self.event("MODIFIED", "Succeeded", 8))
        return stream


async def test_the_bare_loop_goes_on_where_a_watch_has_ended(tmp_path: Path) -> None:
    api, port, app = EndingApi(), free_port(), web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    cluster = {"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context = {"name": "here", "context": {"cluster": "here", "user": "me"}}
    config = {"clusters": [cluster], "users": [{"name": "me", "user": {}}], "contexts": [context]}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps({**config, "current-context": "here", "kind": "Config", "apiVersion": "v1"}))
    try:
        async with (
            asyncio.timeout(30),
            open_bare_pods(kubeconfig=str(kubeconfig), context="", namespace="n", spec={"containers": []}) as bare,
        ):
            await bare.run(1, 1)
    finally:
        await runner.cleanup()

    assert api.watched_from[:2] == ["5", "7"]
    assert [call for call in api.calls if call != "GET"] == ["POST", "DELETE", "PATCH"]
