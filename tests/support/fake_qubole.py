"""
Qubole's command API, for tests: written from its public description, with the faults and the log of the fake job
service.

The description: Submit a Hive Command, View Command Status, View the Command History, Cancel a Command, Command
Object. What it does not name is refused, so that a request which Qubole would not know does not pass here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from airscrew.engine.testing.job_service import FakeJobService, FakeReply
from airscrew.engine.testing.job_service.jobs import FakeJob, Fault, JobStatus

COMMANDS = "/api/v1.2/commands"
PARAMETERS = frozenset(
    {"query", "script_location", "command_type", "label", "retry", "retry_delay", "macros", "sample_size"}
    | {"maximum_progress", "maximum_run_time", "minimum_run_time", "approx_aggregations", "name", "pool", "tags"}
    | {"timeout", "hive_version", "can_notify"}
)
FILTERS = frozenset(
    {"page", "per_page", "all_users", "include_query_properties", "start_date", "end_date", "command_type"}
    | {"status", "command_source", "name", "command_id"}
)
WORDS = {
    JobStatus.QUEUED: "waiting",
    JobStatus.RUNNING: "running",
    JobStatus.SUCCEEDED: "done",
    JobStatus.FAILED: "error",
    JobStatus.CANCELLED: "cancelled",
}
BAD_NAME = re.compile(r"[&<>\"']")


@dataclass
class FakeQubole(FakeJobService):
    """
    The account of one user.

    A query takes the seconds that its ``sleep(...)`` says, and fails when it names ``no_such_table``.

    Attributes:
        bodies: What commands were asked for with, in order.
    """

    bodies: list[dict[str, Any]] = field(default_factory=list)

    @override
    def _act(self, request: Any, fault: Fault | None = None) -> FakeReply:
        url = urlsplit(request.url)
        path = url.path.rstrip("/")
        if self.token and request.headers.get("x-auth-token") != self.token:
            return refusal(401, "Invalid Token")
        if request.method != "GET" and not request.headers.get("content-type", "").startswith("application/json"):
            return refusal(415, "Content-Type must be application/json")
        if request.method == "POST" and path == COMMANDS:
            return self._submit(request.body, hidden=fault is Fault.HIDDEN)
        if request.method == "GET" and path == COMMANDS:
            return self._history(parse_qs(url.query))
        if request.method in {"GET", "PUT"} and path.startswith(f"{COMMANDS}/"):
            return self._command(request.method, path.removeprefix(f"{COMMANDS}/").removesuffix(".json"), request.body)
        return refusal(404, f"nothing is at {request.method} {path}")

    def _submit(self, raw: bytes | None, *, hidden: bool) -> FakeReply:
        body = json.loads(raw or b"{}")
        problem = problem_of(body)
        if problem:
            return refusal(422, problem)
        now, query = self.clock.monotonic(), body["query"]
        slept = [float(seconds) for seconds in re.findall(r"sleep\((\d+)\)", query)]
        key = body.get("name") or ""
        job = FakeJob(
            id=str(1001 + len(self.bodies)),
            key=key,
            created_at=now,
            visible_at=now + (self.hidden_seconds if hidden else 0),
            queue_seconds=self.queue_seconds,
            run_seconds=sum(slept),
            fail="SemanticException: Table not found" if "no_such_table" in query else "",
            result=None,
        )
        self.bodies.append(body)
        self.created[key] += 1
        self.jobs[job.id] = job
        return answer(self._object(job))

    def _history(self, query: Mapping[str, list[str]]) -> FakeReply:
        strange = set(query) - FILTERS
        if strange:
            return refusal(422, f"unknown parameter {min(strange)}")
        wanted, now = query.get("name", [""])[0], self.clock.monotonic()
        seen = [job for job in self.jobs.values() if wanted in job.key and job.visible_at <= now]
        per_page = min(int(query.get("per_page", ["10"])[0]), 100)
        listed = [self._object(job) for job in reversed(seen)][:per_page]
        return answer(
            {"paging_info": {"previous_page": None, "next_page": None, "per_page": per_page}, "commands": listed}
        )

    def _command(self, method: str, command: str, raw: bytes | None) -> FakeReply:
        job, now = self.jobs.get(command), self.clock.monotonic()
        if job is None or job.visible_at > now:
            return refusal(404, "Command not found")
        if method == "GET":
            return answer(self._object(job))
        if json.loads(raw or b"{}") != {"status": "kill"}:
            return refusal(422, "status must be kill")
        if job.status(now).is_live:
            job.cancelled = True
        return answer({"kill_succeeded": "true"})

    def _object(self, job: FakeJob) -> dict[str, Any]:
        status = job.status(self.clock.monotonic())
        made = datetime.fromtimestamp(job.created_at, UTC)
        return {
            "id": int(job.id),
            "status": WORDS[status],
            "command_type": "HiveCommand",
            "progress": 100 if status is JobStatus.SUCCEEDED else 0,
            "created_at": made.strftime("%Y-%m-%d %H:%M:%S UTC"),
            "path": f"/tmp/{made:%Y-%m-%d}/1/{job.id}",
            "name": job.key,
            "command": {"query": self.bodies[int(job.id) - 1001]["query"]} if self.bodies else {},
        }


def problem_of(body: dict[str, Any]) -> str:
    """Say what the description has against a request to make a command; empty for nothing."""
    strange = set(body) - PARAMETERS
    if strange:
        return f"unknown parameter {min(strange)}"
    if body.get("command_type") != "HiveCommand" or not str(body.get("query") or "").strip():
        return "either query or script_location is required"
    if BAD_NAME.search(body.get("name") or "") or len(body.get("name") or "") > 255:
        return "name has characters that it does not accept"
    if any(len(tag) > 255 for tag in body.get("tags") or ()):
        return "a tag can contain a maximum of 255 characters"
    return ""


def answer(told: object) -> FakeReply:
    return FakeReply(200, {"content-type": "application/json"}, json.dumps(told).encode())


def refusal(status: int, message: str) -> FakeReply:
    error = {"error": {"error_code": status, "error_message": message}}
    return FakeReply(status, {"content-type": "application/json"}, json.dumps(error).encode())
