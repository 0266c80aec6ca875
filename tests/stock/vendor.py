"""
A vendor's HTTP service on loopback, which keeps a log of the jobs that it made, and fails on demand.

A vendor says in ``answer`` what it does with a request, by the vendor's public description. What it has done stands in
``jobs``, whatever the caller was told.
"""

from __future__ import annotations

import json
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.support.pki import Signed


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass(kw_only=True)
class Job:
    """
    A job of the vendor's.

    Attributes:
        status: In the vendor's words.
        asked: The body of the request that made it.
        polls: How often somebody looked.
        message: Why it failed.
    """

    id: str
    status: str
    asked: Any
    polls: int = 0
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer; the body becomes JSON."""

    body: Any
    status: int = 200


class Vendor(ABC):
    """
    One service; it listens from its making to ``close``.

    Attributes:
        jobs: Each job that was made since ``reset``.
        complaints: What is wrong with the requests.
        down: It answers 503, and does nothing.
        away: Each connection breaks, and nothing is done.
        garbage: It answers with bytes that are no JSON, and does what it is asked; creates are answered well.
        is_mad: It answers creates so as well.
        losing: So many of the next creates are done, and the connection breaks before the answer.
    """

    def __init__(self, tls: Signed | None = None, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.reset()
        self._server = ThreadingHTTPServer(address, _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.cert, tls.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def reset(self) -> None:
        """Begin a test: no jobs, no faults."""
        self.jobs: dict[str, Job] = {}
        self.complaints: list[str] = []
        self.down = self.away = self.garbage = self.is_mad = False
        self.losing = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def variables(self) -> dict[str, str]:
        """Name the variables by which a stock connector comes here."""
        return {}

    @property
    def job(self) -> Job:
        """The only job."""
        (job,) = self.jobs.values()
        return job

    @abstractmethod
    def answer(self, request: Request) -> Reply:
        """Do what is asked, and answer."""

    @abstractmethod
    def is_create(self, request: Request) -> bool:
        """Tell whether a request makes a job."""

    @abstractmethod
    def finish(self, job: Job) -> None:
        """Have a job succeed."""

    @abstractmethod
    def fail(self, job: Job, *, system: bool) -> None:
        """Have a job fail by its author's fault, or by the vendor's."""

    def is_cancelled(self, job: Job) -> bool:
        """Tell whether somebody ended a job."""
        return "cancel" in job.status.lower()

    def make(self, id: str, status: str, asked: Any) -> Job:  # noqa: A002 - the vendors' word
        """Make a job."""
        self.jobs[id] = job = Job(id=id, status=status, asked=asked)
        return job


@dataclass
class Sent:
    """What goes over the wire for a request; None: the connection breaks."""

    status: int
    body: bytes
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def send(vendor: Vendor, request: Request) -> Sent | None:
    """Answer as the vendor is set to."""
    if vendor.away:
        return None
    if vendor.down:
        return Sent(503, b'{"error": {"code": 503, "message": "the service is down"}}')
    creates = vendor.is_create(request)
    reply = vendor.answer(request)
    if creates and vendor.losing:
        vendor.losing -= 1
        return None
    if vendor.is_mad or (vendor.garbage and not creates):
        return Sent(200, b"<html>a proxy of ours</html>", "text/html")
    return Sent(reply.status, json.dumps(reply.body).encode())


def _handler(vendor: Vendor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            parts = urlsplit(self.path)
            try:
                body = json.loads(raw) if raw else None
            except ValueError:
                body = raw
            request = Request(
                method=self.command,
                path=parts.path,
                query=dict(parse_qsl(parts.query)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
            )
            sent = send(vendor, request)
            if sent is None:
                self.close_connection = True
                return
            self.send_response(sent.status)
            self.send_header("content-type", sent.kind)
            self.send_header("content-length", str(len(sent.body)))
            self.end_headers()
            self.wfile.write(sent.body)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    return Handler
