"""
The fake job service itself; its guarantees are told in the package.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, unquote, urlsplit

from airscrew.engine.clock import Clock
from airscrew.engine.testing.job_service.jobs import Event, FakeJob, FakeReply, Fault

if TYPE_CHECKING:
    from aiohttp import web


@dataclass(slots=True)
class _Injected:
    fault: Fault
    times: int
    methods: frozenset[str]


@dataclass(slots=True)
class _Request:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(slots=True, kw_only=True)
class FakeJobService:
    """
    The service; one object for all that talk to it.

    Attributes:
        clock: Its time.
        idempotent: Whether it honours idempotency keys; if not, each create makes a job.
        key_window: Seconds for which it keeps a key; None for ever.
        token: What ``Authorization: Bearer`` must carry; empty for no check.
        queue_seconds: How long each job is queued.
        slow_seconds: See ``Fault.SLOW``.
        late_seconds: See ``Fault.LATE``.
        hidden_seconds: See ``Fault.HIDDEN``.
        jobs: All jobs that are not forgotten, by id.
        log: All requests in order.
        created: How many jobs were made for each key, forgotten ones included.
    """

    clock: Clock
    idempotent: bool = True
    key_window: float | None = None
    token: str = ""
    queue_seconds: float = 1.0
    slow_seconds: float = 5.0
    late_seconds: float = 30.0
    hidden_seconds: float = 5.0
    jobs: dict[str, FakeJob] = field(default_factory=dict[str, FakeJob])
    log: list[Event] = field(default_factory=list[Event])
    created: Counter[str] = field(default_factory=Counter[str])
    _keys: dict[str, str] = field(default_factory=dict[str, str])
    _faults: list[_Injected] = field(default_factory=list[_Injected])
    _late: list[tuple[float, _Request]] = field(default_factory=list[tuple[float, _Request]])
    _count: int = 0

    def inject(self, fault: Fault, *, times: int = 1, methods: Iterable[str] = ()) -> None:
        """Spoil the next so many requests of these methods; of any method when none is named."""
        self._faults.append(_Injected(fault, times, frozenset(methods)))

    def heal(self) -> None:
        """Take back all faults that have not happened yet."""
        self._faults.clear()

    def jobs_of(self, key: str) -> list[FakeJob]:
        """Return all jobs that carry a key, first made first."""
        self._deliver_late()
        return sorted((job for job in self.jobs.values() if job.key == key), key=lambda job: job.created_at)

    def live(self, key: str | None = None) -> int:
        """Count the jobs that still use resources: those of a key, or all."""
        self._deliver_late()
        now = self._now()
        return sum(job.status(now).is_live for job in self.jobs.values() if key is None or job.key == key)

    def requests(self, *methods: str) -> int:
        """Count the requests that were made, of these methods or of all."""
        return sum(not methods or event.method in methods for event in self.log)

    def forget(self, key: str) -> int:
        """Delete all jobs of a key behind the caller's back; returns how many."""
        doomed = self.jobs_of(key)
        for job in doomed:
            del self.jobs[job.id]
        return len(doomed)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> FakeReply:
        """
        Answer a request, unless a fault prevents it.

        Raises:
            ConnectionRefusedError: Nothing arrived.
            TimeoutError: No answer in time.
            ConnectionResetError: The connection broke.
        """
        request = _Request(method, url, {name.lower(): value for name, value in headers.items()}, body)
        self._deliver_late()
        await asyncio.sleep(0)
        fault = self._take_fault(method)
        match fault:
            case Fault.REFUSED:
                self._note(request, fault, arrived=False)
                raise ConnectionRefusedError("connection refused, on purpose")
            case Fault.LOST_REQUEST:
                self._note(request, fault, arrived=False)
                raise ConnectionResetError("the connection broke, on purpose")
            case Fault.LATE:
                self._late.append((self._now() + timeout + self.late_seconds, request))
                await asyncio.sleep(timeout)
                raise TimeoutError("no answer, on purpose")
            case Fault.SLOW:
                await self._be_slow(timeout)
            case _:
                pass
        return self._answer(request, fault)

    async def close(self) -> None:
        """Do nothing; there for callers that close their transport."""

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncGenerator[str, None]:
        """Listen on a port of this machine, 0 for a free one; yields the address. Needs aiohttp."""
        from aiohttp import web

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            host, bound = cast("tuple[str, int]", runner.addresses[0])
            yield f"http://{host}:{bound}"
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        try:
            reply = await self.request(
                request.method, str(request.rel_url), headers=request.headers, body=await request.read(), timeout=3600
            )
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)

    async def _be_slow(self, timeout: float) -> None:
        await asyncio.sleep(min(self.slow_seconds, timeout))
        if self.slow_seconds >= timeout:
            raise TimeoutError("no answer in time, on purpose")

    def _answer(self, request: _Request, fault: Fault | None) -> FakeReply:
        self._note(request, fault, arrived=fault not in {Fault.BUSY, Fault.TOO_MANY, Fault.ERROR})
        match fault:
            case Fault.BUSY:
                return _json(503, {"error": "busy, on purpose"}, {"retry-after": "7"})
            case Fault.TOO_MANY:
                return _json(429, {"error": "too many requests, on purpose"}, {"retry-after": "7"})
            case Fault.ERROR:
                return _json(500, {"error": "on purpose"})
            case Fault.TWICE:
                self._act(request, fault)
            case _:
                pass
        reply = self._act(request, fault)
        if fault is Fault.LOST_REPLY:
            raise ConnectionResetError("the connection broke before the answer, on purpose")
        return FakeReply(200, {}, b"<html>\xff\xfe no JSON") if fault is Fault.GARBAGE else reply

    def _act(self, request: _Request, fault: Fault | None = None) -> FakeReply:
        url = urlsplit(request.url)
        steps = [unquote(step) for step in url.path.rstrip("/").split("/")]
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return _json(401, {"error": "a token is needed"})
        match request.method, steps[-2:]:
            case "POST", [*_, "jobs"]:
                return self._create(request, hidden=fault is Fault.HIDDEN)
            case "GET", [*_, "jobs"]:
                return self._list(parse_qs(url.query))
            case ("GET" | "DELETE") as method, ["jobs", job_id]:
                return self._one(job_id, cancel=method == "DELETE")
            case _:
                return _json(404, {"error": f"nothing is at {request.method} {url.path}"})

    def _create(self, request: _Request, *, hidden: bool) -> FakeReply:
        key = request.headers.get("idempotency-key", "")
        wanted = _object(request.body)
        if wanted is None:
            return _json(400, {"error": "the body must be a JSON object"})
        now = self._now()
        known = self.jobs.get(self._keys.get(key, "")) if self.idempotent and key else None
        if known and (self.key_window is None or now - known.created_at <= self.key_window):
            return _json(200, known.view(now))
        key = key or str(wanted.get("key", ""))
        job = self._job(key, wanted, now, hidden=hidden)
        self.created[key] += 1
        self.jobs[job.id] = job
        self._keys[key] = job.id
        return _json(201, job.view(now))

    def _job(self, key: str, wanted: Mapping[str, object], now: float, *, hidden: bool) -> FakeJob:
        self._count += 1
        seconds = wanted.get("seconds", 0.0)
        return FakeJob(
            id=f"job-{self._count}",
            key=key,
            created_at=now,
            visible_at=now + (self.hidden_seconds if hidden else 0),
            queue_seconds=self.queue_seconds,
            run_seconds=float(seconds) if isinstance(seconds, int | float) else None,
            fail=str(wanted.get("fail") or ""),
            result=wanted.get("result"),
        )

    def _list(self, query: Mapping[str, list[str]]) -> FakeReply:
        now = self._now()
        seen = [job for job in self.jobs.values() if job.visible_at <= now]
        if "ids" in query:
            ids = set(query["ids"][0].split(","))
            seen = [job for job in seen if job.id in ids]
        if "key" in query:
            seen = [job for job in seen if job.key == query["key"][0]]
        return _json(200, {"jobs": [job.view(now) for job in seen]})

    def _one(self, job_id: str, *, cancel: bool) -> FakeReply:
        now = self._now()
        job = self.jobs.get(job_id)
        if job is None or job.visible_at > now:
            return _json(404, {"error": f"no job {job_id}"})
        if cancel and job.status(now).is_live:
            job.cancelled = True
        return _json(200, job.view(now))

    def _deliver_late(self) -> None:
        now = self._now()
        due = [request for at, request in self._late if at <= now]
        self._late = [(at, request) for at, request in self._late if at > now]
        for request in due:
            self._note(request, Fault.LATE, arrived=True)
            self._act(request)

    def _take_fault(self, method: str) -> Fault | None:
        for injected in self._faults:
            if injected.times > 0 and (not injected.methods or method in injected.methods):
                injected.times -= 1
                return injected.fault
        return None

    def _note(self, request: _Request, fault: Fault | None, *, arrived: bool) -> None:
        url = urlsplit(request.url)
        path = f"{url.path}?{url.query}" if url.query else url.path
        key = request.headers.get("idempotency-key", "")
        self.log.append(Event(self._now(), request.method, path, key, fault, arrived))

    def _now(self) -> float:
        return self.clock.monotonic()


def _json(status: int, told: object, headers: Mapping[str, str] | None = None) -> FakeReply:
    return FakeReply(status, {"content-type": "application/json", **(headers or {})}, json.dumps(told).encode())


def _object(body: bytes | None) -> Mapping[str, object] | None:
    try:
        found: object = json.loads(body or b"null")
    except ValueError:
        return None
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else None
