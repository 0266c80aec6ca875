"""
BigQuery in memory and over HTTP, by the discovery document that Google publishes and not by our plugin.

Each request's path, parameters and body are checked against the document (``tests/data``); what is wrong is answered
with 400 and kept in ``breaches``. The faults and the log are those of the kit's fake job service; a method's name in
the document takes the place of the HTTP method. It gives tokens for a service account's signed assertion, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from airscrew.engine.testing.job_service import FakeJobService, Fault
from airscrew.engine.testing.job_service.jobs import FakeJob, FakeReply, JobStatus

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "bigquery.v2.jobs.json").read_text())
TOKEN = "t0ken-of-google"
_SAID = re.compile(r"(\w+)=([\w.]+)")
_STATES = {JobStatus.QUEUED: "PENDING", JobStatus.RUNNING: "RUNNING"}


class RefusalError(Exception):
    """What BigQuery answers an error with."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


@dataclass(slots=True, kw_only=True)
class FakeBigQuery(FakeJobService):
    """BigQuery: a statement says ``seconds=20 fail=invalidQuery`` or the like in a comment."""

    location: str = "EU"
    wanted_token: str = ""
    epoch: float = 0.0
    listed: int = 1000
    breaches: list[str] = field(default_factory=list)
    requests_made: list[tuple[str, Any]] = field(default_factory=list)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens_given: int = 0

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> FakeReply:
        lower = {name.lower(): value for name, value in headers.items()}
        name = _name_of(method, urlsplit(url).path)
        return await FakeJobService.request(self, name, url, headers=lower, body=body, timeout=timeout)

    def of_method(self, name: str) -> list[Any]:
        return [sent for method, sent in self.requests_made if method == name]

    def _act(self, request: Any, fault: Fault | None = None) -> FakeReply:
        if request.method == "token":
            self.tokens_given += 1
            return _reply(200, {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})
        if self.wanted_token and request.headers.get("authorization") != f"Bearer {self.wanted_token}":
            told = f"bad credentials: {request.headers.get('authorization')}"
            return _reply(401, {"error": {"code": 401, "message": told, "errors": [{"reason": "authError"}]}})
        try:
            return _reply(200, self._answer_of(request, hidden=fault is Fault.HIDDEN))
        except RefusalError as refusal:
            error = {"code": refusal.status, "message": str(refusal), "errors": [{"reason": refusal.reason}]}
            return _reply(refusal.status, {"error": error})

    def _answer_of(self, request: Any, *, hidden: bool) -> dict[str, Any]:
        url = urlsplit(request.url)
        steps = [unquote(step) for step in url.path.split("/")]
        query = dict(parse_qsl(url.query))
        self._check(request.method, query, request.body)
        match request.method:
            case "insert":
                body = json.loads(request.body)
                self.requests_made.append(("insert", body))
                return self._insert(steps[4], body, hidden=hidden)
            case "list":
                self.requests_made.append(("list", query))
                return self._list_jobs(steps[4], query)
            case "get":
                self.requests_made.append(("get", steps[6]))
                return self._view(self._must_be(steps[6], query))
            case "cancel":
                job = self._must_be(steps[6], query)
                if job.status(self._now()).is_live:
                    job.cancelled = True
                return {"kind": "bigquery#jobCancelResponse", "job": self._view(job)}
            case _:
                raise RefusalError(404, "notFound", f"nothing is at {url.path}")

    def _check(self, method: str, query: Mapping[str, str], body: bytes | None) -> None:
        known = DOCUMENT["methods"].get(method, {}).get("parameters", {}) | DOCUMENT["parameters"]
        wrong = [f"parameter {name}" for name in query if name not in known]
        if method == "insert":
            wrong += _mismatches(json.loads(body or b"{}"), {"$ref": "Job"}, "job")
        if wrong:
            self.breaches.extend(wrong)
            raise RefusalError(400, "invalid", f"unknown or ill-formed: {wrong}")

    def _insert(self, project: str, body: dict[str, Any], *, hidden: bool) -> dict[str, Any]:
        job_id = body["jobReference"]["jobId"]
        statement = body["configuration"]["query"]["query"]
        if job_id in self.jobs:
            raise RefusalError(409, "duplicate", f"Already Exists: Job {project}:{self.location}.{job_id}")
        if "REFUSE" in statement:
            raise RefusalError(400, "invalidQuery", "Syntax error: Unexpected identifier REFUSE")
        if "DENY" in statement:
            raise RefusalError(403, "rateLimitExceeded", "Exceeded rate limits")
        said = dict(_SAID.findall(statement))
        wanted = {"seconds": float(said.get("seconds", 0.0)), "fail": said.get("fail", "")}
        job = self._job(job_id, wanted, self._now(), hidden=hidden)
        job.id = job_id
        self.created[job_id] += 1
        self.jobs[job_id], self.bodies[job_id] = job, body
        return self._view(job)

    def _list_jobs(self, project: str, query: Mapping[str, str]) -> dict[str, Any]:
        since = float(query.get("minCreationTime", 0)) / 1000
        jobs = [
            job
            for job in reversed(list(self.jobs.values()))
            if job.visible_at <= self._now() and self.epoch + job.created_at >= since
        ]
        jobs = [job for job in jobs if self.bodies[job.id]["jobReference"]["projectId"] == project]
        told: dict[str, Any] = {"jobs": [self._view(job) for job in jobs[: self.listed]]}
        return told | ({"nextPageToken": "more"} if len(jobs) > self.listed else {})

    def _must_be(self, job_id: str, query: Mapping[str, str]) -> FakeJob:
        job = self.jobs.get(job_id)
        if job is None or job.visible_at > self._now() or query.get("location", "US") != self.location:
            raise RefusalError(404, "notFound", f"Not found: Job {job_id}")
        return job

    def _view(self, job: FakeJob) -> dict[str, Any]:
        status = job.status(self._now())
        told: dict[str, Any] = {"state": _STATES.get(status, "DONE")}
        if status is JobStatus.FAILED:
            told["errorResult"] = {"reason": job.fail, "message": f"the query failed: {job.fail}"}
        elif status is JobStatus.CANCELLED:
            told["errorResult"] = {"reason": "stopped", "message": "Job execution was cancelled"}
        reference = self.bodies[job.id]["jobReference"]
        table = {"projectId": reference["projectId"], "datasetId": "_anon", "tableId": job.id}
        return {
            "jobReference": {**reference, "location": self.location},
            "status": told,
            "configuration": {"query": {"destinationTable": table}},
        }


def _name_of(method: str, path: str) -> str:
    if path.endswith("/token"):
        return "token"
    for name, one in DOCUMENT["methods"].items():
        shape = "/" + DOCUMENT["servicePath"] + re.sub(r"\{\+?\w+\}", "[^/]+", one["path"])
        if one["httpMethod"] == method and re.fullmatch(shape, path):
            return str(name)
    return "unknown"


def _mismatches(value: Any, shape: Mapping[str, Any], where: str) -> Iterator[str] | list[str]:
    """Say where a value is not as the document has it."""
    if "$ref" in shape:
        shape = DOCUMENT["schemas"][shape["$ref"]]
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    kind = shape.get("type", "any")
    if kind in kinds and not isinstance(value, kinds[kind]):
        return [f"{where}: {value!r} is no {kind}"]
    found: list[str] = []
    if isinstance(value, dict):
        for name, part in value.items():
            inner = shape.get("properties", {}).get(name, shape.get("additionalProperties"))
            found += [f"{where}.{name} is unknown"] if inner is None else _mismatches(part, inner, f"{where}.{name}")
    if isinstance(value, list):
        for number, part in enumerate(value):
            found += _mismatches(part, shape["items"], f"{where}[{number}]")
    if "enum" in shape and value not in shape["enum"]:
        found.append(f"{where}: {value!r} is none of {shape['enum']}")
    return found


def _reply(status: int, told: object) -> FakeReply:
    return FakeReply(status, {"content-type": "application/json"}, json.dumps(told).encode())
