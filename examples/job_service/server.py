"""
A small job service over HTTP, to run tasks against: it counts words, slowly.

Only the standard library is used, everything is in memory, and it listens on this machine alone. It promises:

- ``POST /jobs`` with the header ``Idempotency-Key`` makes a job once; the same key again answers the same.
- ``GET /jobs/{id}``, ``GET /jobs?ids=a,b`` (many at once) and ``GET /jobs?key=K`` show jobs, ended ones too.
- ``DELETE /jobs/{id}`` cancels; the job stays visible. With ``?forget=true`` it is as if it never was.
- ``PUT /faults`` with ``{"lost_reply": 1}`` spoils the next requests on purpose; see ``FAULTS``.

A job is queued, then running with progress, then succeeded or failed. Nothing runs in the background: where a
job stands follows from the time alone.

    python examples/job_service/server.py --port 8099
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

FAULTS = {
    "lost_reply": "the next N creates are done, and their connection is cut before the answer",
    "refuse": "the next N creates are answered with 503 and Retry-After: 1",
    "too_many": "the next N requests of any kind are answered with 429 and Retry-After: 1",
    "error": "the next N requests of any kind are answered with 500",
    "garbage": "the next N reads are answered with bytes that are no JSON",
    "slow": "every request takes N seconds",
}
BODY_LIMIT = 1 << 20
LONGEST_SECONDS = 86_400


class BadRequestError(Exception):
    """The request cannot be understood; its text says why."""


@dataclass
class Job:
    """One job; where it stands is computed from the time."""

    id: str
    key: str
    text: str
    fail: str
    created_at: float
    queue_seconds: float
    run_seconds: float
    cancelled_at: float | None = None

    def view(self, now: float) -> dict[str, object]:
        """Return what the service tells of the job."""
        told: dict[str, object] = {"id": self.id, "key": self.key, "created_at": self.created_at}
        begin = self.created_at + self.queue_seconds
        end = begin + self.run_seconds
        if self.cancelled_at is not None:
            return told | {"status": "cancelled"}
        if now < begin:
            return told | {"status": "queued", "progress": 0.0, "message": "waiting for a worker"}
        if now < end:
            share = (now - begin) / self.run_seconds
            return told | {"status": "running", "progress": round(share, 3), "message": "counting"}
        if self.fail:
            return told | {"status": "failed", "message": self.fail}
        return told | {"status": "succeeded", "progress": 1.0, "result": count_words(self.text)}

    def ended(self, now: float) -> bool:
        """Tell whether nothing more happens to it."""
        return self.view(now)["status"] in {"cancelled", "failed", "succeeded"}


def count_words(text: str) -> dict[str, object]:
    """Do the work that the service sells."""
    words = text.split()
    return {"words": len(words), "longest": max(words, key=len, default="")}


@dataclass
class JobService:
    """
    The jobs, and the faults that are switched on. Thread-safe.

    Attributes:
        queue_seconds: How long each job waits before it runs.
        token: What ``Authorization: Bearer`` must carry; empty for no check.
        jobs: By id.
        by_key: The id made for each idempotency key.
        faults: How many requests each fault still spoils.
        creates: How many create requests arrived, repeated ones included.
    """

    queue_seconds: float = 0.5
    token: str = ""
    jobs: dict[str, Job] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    faults: dict[str, float] = field(default_factory=dict)
    creates: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take_fault(self, name: str) -> bool:
        """Use up one of a fault's counts."""
        with self.lock:
            left = self.faults.get(name, 0)
            self.faults[name] = max(left - 1, 0)
            return left > 0

    def create(self, key: str, wanted: object) -> dict[str, object]:
        """Make a job, or answer with the one that the key has made."""
        with self.lock:
            self.creates += 1
            if key and key in self.by_key and self.by_key[key] in self.jobs:
                return self.jobs[self.by_key[key]].view(time.time())
            job = self._checked(key, wanted)
            self.jobs[job.id] = job
            if key:
                self.by_key[key] = job.id
            return job.view(time.time())

    def _checked(self, key: str, wanted: object) -> Job:
        if not isinstance(wanted, dict):
            raise BadRequestError("the body must be a JSON object")
        text, seconds, fail = wanted.get("text"), wanted.get("seconds", 2.0), wanted.get("fail", "")
        if not isinstance(text, str):
            raise BadRequestError("text must be a string")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_SECONDS:
            raise BadRequestError(f"seconds must be a number from 0 to {LONGEST_SECONDS}")
        return Job(
            id=f"job-{uuid.uuid4().hex[:12]}",
            key=key,
            text=text,
            fail=str(fail or ""),
            created_at=time.time(),
            queue_seconds=self.queue_seconds,
            run_seconds=float(seconds),
        )

    def find(self, *, ids: list[str] | None = None, key: str | None = None) -> list[dict[str, object]]:
        """List jobs by id or by key; unknown ones are left out."""
        with self.lock:
            if key is not None:
                ids = [self.by_key[key]] if key in self.by_key else []
            wanted = list(self.jobs) if ids is None else ids
            return [self.jobs[one].view(time.time()) for one in wanted if one in self.jobs]

    def cancel(self, job_id: str, *, forget: bool) -> dict[str, object] | None:
        """Stop a job; None when there is no such job."""
        with self.lock:
            job = self.jobs.get(job_id)
            if job is None:
                return None
            if not job.ended(time.time()):
                job.cancelled_at = time.time()
            if forget:
                del self.jobs[job_id]
            return job.view(time.time())

    def set_faults(self, wanted: object) -> dict[str, float]:
        """Replace the faults that are switched on."""
        if not isinstance(wanted, dict) or set(wanted) - set(FAULTS):
            raise BadRequestError(f"faults are an object of numbers with the names {', '.join(FAULTS)}")
        with self.lock:
            self.faults = {name: float(count) for name, count in wanted.items()}
            return dict(self.faults)


class Handler(BaseHTTPRequestHandler):
    """Turns requests into calls of the service."""

    protocol_version = "HTTP/1.1"
    server: JobServer

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        service = self.server.service
        url = urlsplit(self.path)
        try:
            body = self._body()
            if service.token and self.headers.get("Authorization") != f"Bearer {service.token}":
                self._send(401, {"error": "a token is needed"})
            elif url.path == "/faults" and method == "PUT":
                self._send(200, service.set_faults(body))
            elif not self._spoilt(method):
                self._route(method, url.path, parse_qs(url.query), body)
        except BadRequestError as error:
            self._send(400, {"error": str(error)})

    def _spoilt(self, method: str) -> bool:
        service = self.server.service
        time.sleep(service.faults.get("slow", 0))
        if service.take_fault("too_many"):
            self._send(429, {"error": "too many requests"}, {"Retry-After": "1"})
        elif service.take_fault("error"):
            self._send(500, {"error": "on purpose"})
        elif method == "POST" and service.take_fault("refuse"):
            self._send(503, {"error": "no worker takes new jobs"}, {"Retry-After": "1"})
        elif method == "GET" and service.take_fault("garbage"):
            self._write(200, b"<html>\xff\xfe not JSON", {})
        else:
            return False
        return True

    def _route(self, method: str, path: str, query: dict[str, list[str]], body: object) -> None:
        service = self.server.service
        job_id = path.removeprefix("/jobs/")
        if path == "/jobs" and method == "POST":
            job = service.create(self.headers.get("Idempotency-Key", ""), body)
            if service.take_fault("lost_reply"):
                self.close_connection = True
            else:
                self._send(201, job)
        elif path == "/jobs" and method == "GET":
            ids = query["ids"][0].split(",") if "ids" in query else None
            self._send(200, {"jobs": service.find(ids=ids, key=query.get("key", [None])[0])})
        elif path.startswith("/jobs/") and method in {"GET", "DELETE"}:
            forget = query.get("forget") == ["true"]
            found = service.find(ids=[job_id]) if method == "GET" else [service.cancel(job_id, forget=forget)]
            self._send(200, found[0]) if found and found[0] else self._send(404, {"error": f"no job {job_id}"})
        else:
            self._send(404, {"error": f"nothing is at {method} {path}"})

    def _body(self) -> object:
        size = int(self.headers.get("Content-Length") or 0)
        if size > BODY_LIMIT:
            raise BadRequestError(f"the body is over {BODY_LIMIT} bytes")
        raw = self.rfile.read(size)
        try:
            return json.loads(raw) if raw else None
        except ValueError as error:
            raise BadRequestError(f"the body is no JSON: {error}") from error

    def _send(self, status: int, told: object, headers: dict[str, str] | None = None) -> None:
        self._write(status, json.dumps(told).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _write(self, status: int, raw: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        if self.server.verbose:
            sys.stderr.write(f"{self.command} {self.path} {args[1] if len(args) > 1 else ''}\n")


class JobServer(ThreadingHTTPServer):
    """The service on a port of this machine."""

    daemon_threads = True

    def __init__(self, service: JobService, port: int = 0, *, verbose: bool = False) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.service = service
        self.verbose = verbose

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say in one line what a client's broken connection would say in thirty."""
        if self.verbose:
            sys.stderr.write(f"connection broke: {sys.exc_info()[1]}\n")


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="A small job service over HTTP: it counts words, slowly.")
    parser.add_argument("--port", type=int, default=8099, help="0 takes a free one and prints it")
    parser.add_argument("--queue-seconds", type=float, default=0.5, help="how long a job waits")
    parser.add_argument("--token-file", type=Path, help="ask for this file's content as a bearer token")
    parser.add_argument("--quiet", action="store_true", help="do not print each request")
    return parser.parse_args()


def main() -> None:
    """Serve until a signal comes."""
    arguments = read_arguments()
    token = (
        arguments.token_file.read_text().strip() if arguments.token_file else os.environ.get("JOB_SERVICE_TOKEN", "")
    )
    service = JobService(queue_seconds=arguments.queue_seconds, token=token)
    with JobServer(service, arguments.port, verbose=not arguments.quiet) as server:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"listening on {server.url}", flush=True)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
