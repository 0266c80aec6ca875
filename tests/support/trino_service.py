"""
A Trino in memory and over HTTP, by the public description of its client protocol, and by its source beyond that.

What matters of both: a ``POST`` only registers a query, which runs from the first ``GET`` of its next address on; an
address holds a slug that nobody can guess; each page may be fetched again until the next one is; a query of which
nobody asks is given up; ``DELETE`` answers 204. Headers that neither the description nor ``trino``, Trino's own Python
client, know are kept in ``breaches``. The faults and the log are those of the kit's fake job service, with the step
``post``, ``page`` or ``cancel`` in place of the HTTP method.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import trino.constants

from airscrew.engine.testing.job_service import FakeJobService, Fault
from airscrew.engine.testing.job_service.jobs import FakeJob, FakeReply, JobStatus

USER, PASSWORD = "ada", "lace-planted-77"
STEPS = {"POST": "post", "GET": "page", "DELETE": "cancel"}
KNOWN = {
    value.lower() for name, value in vars(trino.constants).items() if name.startswith("HEADER_") and "SET" not in name
} | {"x-trino-trace-token", "x-trino-session"}
OF_THE_GATEWAY = {"x-trino-routing-group"}
NAMES = {
    "USER_ERROR": "SYNTAX_ERROR",
    "INTERNAL_ERROR": "GENERIC_INTERNAL_ERROR",
    "INSUFFICIENT_RESOURCES": "EXCEEDED_LOCAL_MEMORY_LIMIT",
    "EXTERNAL": "HIVE_METASTORE_ERROR",
}
_SAID = re.compile(r"(\w+)=([\w.]+)")
_STATES = {JobStatus.QUEUED: "QUEUED", JobStatus.RUNNING: "RUNNING"}


@dataclass(slots=True)
class Registered:
    """
    A query that has been registered.

    Attributes:
        statement: What was sent.
        headers: Of the request that registered it.
        tokens: Of the pages that were given last.
        page: The last one.
        is_submitted: Whether it has begun to run.
        rows: How many pages with rows are still to come.
        asked_at: When somebody asked for it last.
        failure: What went wrong, with its type.
    """

    statement: str
    headers: Mapping[str, str]
    asked_at: float
    rows: int
    failure: tuple[str, str]
    tokens: dict[str, int] = field(default_factory=lambda: {"queued": 0, "executing": -1})
    page: dict[str, Any] = field(default_factory=dict[str, Any])
    is_submitted: bool = False


class RefusalError(Exception):
    """An answer that is no page."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True, kw_only=True)
class FakeTrino(FakeJobService):
    """
    A cluster: a statement says ``seconds=20 fail=USER_ERROR rows=3`` or the like in a comment.

    ``created`` counts queries that run or still can: those that ran, or one that was registered last and can be
    fetched by whoever got its address.

    Attributes:
        client_timeout: After so many seconds without a request a query is given up.
        told_as: What the addresses in answers begin with; empty for the address that was asked.
    """

    client_timeout: float = 300.0
    told_as: str = ""
    password: str = ""
    jwt: str = ""
    breaches: list[str] = field(default_factory=list)
    queries: dict[str, Registered] = field(default_factory=dict)
    submitted: Counter[str] = field(default_factory=Counter)
    pages: int = 0
    origins: set[str] = field(default_factory=set)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> FakeReply:
        lower = {name.lower(): value for name, value in headers.items()}
        self.origins.add("{0.scheme}://{0.netloc}".format(urlsplit(url)))
        return await FakeJobService.request(
            self, STEPS.get(method, method), url, headers=lower, body=body, timeout=timeout
        )

    def live(self, key: str | None = None) -> int:
        """Count the queries that use resources."""
        self._give_up()
        now = self._now()
        return sum(
            job.status(now).is_live
            for job in self.jobs.values()
            if (key is None or job.key == key) and self.queries[job.id].is_submitted
        )

    def statements(self) -> list[str]:
        """Return the statements that have run, in order."""
        return [one.statement for one in self.queries.values() if one.is_submitted]

    def _act(self, request: Any, fault: Fault | None = None) -> FakeReply:
        self._give_up()
        strange = {name for name in request.headers if name.startswith("x-trino-")} - KNOWN - OF_THE_GATEWAY
        self.breaches += [f"{name} is no header of Trino's" for name in strange]
        try:
            self._authenticate(request.headers)
            return self._answer_to(request, hidden=fault is Fault.HIDDEN)
        except RefusalError as refusal:
            return FakeReply(refusal.status, {"content-type": "text/plain"}, str(refusal).encode())

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        wanted = f"Bearer {self.jwt}" if self.jwt else ""
        if self.password:
            wanted = "Basic " + base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        if wanted and headers.get("authorization") != wanted:
            raise RefusalError(401, f"Invalid credentials: {headers.get('authorization')}")
        if not headers.get("x-trino-user"):
            raise RefusalError(400, "User must be set")

    def _answer_to(self, request: Any, *, hidden: bool) -> FakeReply:
        path = urlsplit(request.url).path
        base = self.told_as or f"http://{request.headers.get('host', 'trino.test')}"
        if request.method == "post" and path == "/v1/statement":
            return _reply(200, self._register(request, base, hidden=hidden))
        match path.split("/"):
            case ["", "v1", "statement", ("queued" | "executing") as kind, query_id, slug, token]:
                job = self.jobs.get(query_id)
                if job is None or slug != f"y{query_id[-5:]}{kind}" or job.visible_at > self._now():
                    raise RefusalError(404, "Query not found")
                if request.method == "cancel":
                    self._cancel(job)
                    return FakeReply(204, {}, b"")
                self.pages += 1
                return _reply(200, self._page(job, kind, int(token), base))
            case ["", "v1", "query", query_id] if query_id in self.jobs:
                return _reply(200, self._info(self.jobs[query_id]))
            case _:
                raise RefusalError(404, f"nothing is at {path}")

    def _register(self, request: Any, base: str, *, hidden: bool) -> dict[str, Any]:
        statement = (request.body or b"").decode()
        if not statement.strip():
            raise RefusalError(400, "SQL statement is empty")
        if "BUSY" in statement:
            raise RefusalError(429, "Too many requests")
        headers, said = request.headers, dict(_SAID.findall(statement))
        key = headers.get("x-trino-trace-token", "")
        wanted = {"seconds": float(said.get("seconds", 0.0)), "fail": said.get("fail", "")}
        job = self._job(key, wanted, self._now(), hidden=hidden)
        job.id = f"20260101_000000_{self._count:05}_abcde"
        if job.fail and job.fail not in NAMES:
            raise RefusalError(400, f"the test wants an unknown type of error, {job.fail}")
        kind = job.fail or "USER_ERROR"
        query = Registered(
            statement=statement,
            headers=headers,
            asked_at=self._now(),
            rows=int(said.get("rows", 0)),
            failure=(said.get("name", NAMES[kind]), kind),
        )
        self.jobs[job.id], self.queries[job.id] = job, query
        if key not in self.jobs:  # what drops a table carries the id of the query that made it
            self.created[key] = max(self.created[key], 1)
        return self._told(job, "QUEUED", f"{base}/v1/statement/queued/{job.id}/{_slug(job.id, 'queued')}/1", base)

    def _page(self, job: FakeJob, kind: str, token: int, base: str) -> dict[str, Any]:
        query, now = self.queries[job.id], self._now()
        query.asked_at = now
        if kind == "queued" and not query.is_submitted:
            query.is_submitted, job.created_at = True, now
            self.submitted[job.key] += 1
            if job.key not in self.jobs:
                self.created[job.key] = max(self.created[job.key], self.submitted[job.key])
        last = query.tokens[kind]
        if token not in {last, last + 1}:
            raise RefusalError(410, "Invalid token")
        if token == last and query.page:
            return query.page
        query.tokens[kind] = token
        page = self._next(job, query, kind, token, base)
        query.page = page if kind == "executing" else {}
        return page

    def _next(self, job: FakeJob, query: Registered, kind: str, token: int, base: str) -> dict[str, Any]:
        status = job.status(self._now())
        if kind == "queued":
            waits = status is JobStatus.QUEUED
            step, following = ("queued", token + 1) if waits else ("executing", 0)
            return self._told(
                job, "QUEUED", f"{base}/v1/statement/{step}/{job.id}/{_slug(job.id, step)}/{following}", base
            )
        if status in {JobStatus.FAILED, JobStatus.CANCELLED}:
            name, fault = self._failure(job, status)
            told = self._told(job, "FAILED", "", base)
            error = {"message": f"line 1:1: {name}", "errorCode": 1, "errorName": name, "errorType": fault}
            return told | {"error": error}
        following = f"{base}/v1/statement/executing/{job.id}/{_slug(job.id, 'executing')}/{token + 1}"
        if status.is_live:
            return self._told(job, "RUNNING", following, base)
        if query.rows:
            query.rows -= 1
            columns = [{"name": "_col0", "type": "integer", "typeSignature": {"rawType": "integer", "arguments": []}}]
            return self._told(job, "RUNNING", following, base) | {"columns": columns, "data": [[1], [2]]}
        return self._told(job, "FINISHED", "", base)

    def _info(self, job: FakeJob) -> dict[str, Any]:
        """What a look at a query by its id tells, in the form of the coordinator's own web page."""
        status = job.status(self._now())
        told: dict[str, Any] = {"queryId": job.id, "state": _STATES.get(status, "FINISHED")}
        if status in {JobStatus.FAILED, JobStatus.CANCELLED}:
            name, kind = self._failure(job, status)
            told |= {"state": "FAILED", "errorCode": {"code": 1, "name": name, "type": kind}}
            told["failureInfo"] = {"type": "x.TrinoException", "message": f"line 1:1: {name}", "stack": []}
        return told

    def _failure(self, job: FakeJob, status: JobStatus) -> tuple[str, str]:
        return self.queries[job.id].failure if status is JobStatus.FAILED else ("USER_CANCELED", "USER_ERROR")

    def _told(self, job: FakeJob, state: str, following: str, base: str) -> dict[str, Any]:
        stats = {"state": state, "queued": state == "QUEUED", "scheduled": state != "QUEUED", "nodes": 1}
        if state == "RUNNING":
            stats["progressPercentage"] = 50.0
        told: dict[str, Any] = {
            "id": job.id,
            "infoUri": f"{base}/ui/query.html?{job.id}",
            "stats": stats,
            "warnings": [],
        }
        return told | ({"nextUri": following} if following else {})

    def _cancel(self, job: FakeJob) -> None:
        self.queries[job.id].asked_at = self._now()
        job.cancelled = job.cancelled or job.status(self._now()).is_live

    def _give_up(self) -> None:
        now = self._now()
        for job in list(self.jobs.values()):
            query = self.queries[job.id]
            if now - query.asked_at <= self.client_timeout or job.cancelled:
                continue
            if not query.is_submitted:
                del self.jobs[job.id]
            elif job.status(now).is_live:
                job.run_seconds, job.fail = 0.0, "USER_ERROR"
                job.queue_seconds, query.failure = 0.0, ("ABANDONED_QUERY", "USER_ERROR")
                query.page = {}


def _slug(query_id: str, kind: str) -> str:
    return f"y{query_id[-5:]}{kind}"


def _reply(status: int, told: object) -> FakeReply:
    return FakeReply(status, {"content-type": "application/json"}, json.dumps(told).encode())
