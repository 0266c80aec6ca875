"""
A workspace of Databricks in memory and over HTTP, by what the vendor's own Python client knows of its Jobs API.

Each run that is submitted must be one that ``databricks-sdk`` can read and write again without loss, and so must each
answer; what is not is kept in ``breaches``. The faults and the log are those of the kit's fake job service; the last
step of a path takes the place of the HTTP method. It takes the versions 2.1 and 2.2, whose runs are alike, and gives
tokens to a service principal, too.
"""

from __future__ import annotations

import base64
import copy
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from databricks.sdk.service import jobs as published

from airscrew.engine.testing.job_service import FakeJobService, Fault
from airscrew.engine.testing.job_service.jobs import FakeJob, FakeReply, JobStatus

TOKEN = "dapi-planted-0451"
PRINCIPAL, OAUTH_SECRET = "robot", "dose-planted-0452"
MOST_LISTED = 25
LONGEST_TOKEN = 64
_SAID = re.compile(r"(\w+)=([\w./]+)")
_LIFE = {JobStatus.QUEUED: "QUEUED", JobStatus.RUNNING: "RUNNING"}
_PARTS: dict[str, Any] = {
    "git_source": published.GitSource,
    "tasks": published.SubmitTask,
    "environments": published.JobEnvironment,
    "environment_variables": published.JobEnvironmentVariables,
    "email_notifications": published.JobEmailNotifications,
    "queue": published.QueueSettings,
}
CODES = {one.value for one in published.TerminationCodeCode}


class RefusalError(Exception):
    """What Databricks answers an error with."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(slots=True, kw_only=True)
class FakeDatabricks(FakeJobService):
    """A workspace: a run's parameters say ``seconds=20 fail=CLUSTER_ERROR`` or the like."""

    wanted: set[str] = field(default_factory=lambda: {TOKEN})
    epoch: float = 1_700_000_000.0
    url: str = "https://acme.test"
    breaches: list[str] = field(default_factory=list)
    submitted: list[dict[str, Any]] = field(default_factory=list)
    reads: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    principals_served: int = 0

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> FakeReply:
        lower = {name.lower(): value for name, value in headers.items()}
        name = urlsplit(url).path.rpartition("/")[2] or method
        return await FakeJobService.request(self, name, url, headers=lower, body=body, timeout=timeout)

    def _act(self, request: Any, fault: Fault | None = None) -> FakeReply:
        try:
            return _reply(200, self._answer_of(request, hidden=fault is Fault.HIDDEN))
        except RefusalError as refusal:
            return _reply(refusal.status, {"error_code": refusal.code, "message": str(refusal)})

    def _answer_of(self, request: Any, *, hidden: bool) -> dict[str, Any]:
        url = urlsplit(request.url)
        if url.path == "/oidc/v1/token":
            return self._grant(request)
        carried = request.headers.get("authorization", "")
        if carried.removeprefix("Bearer ") not in self.wanted:
            raise RefusalError(401, "UNAUTHENTICATED", f"this is no credential: {carried}")
        if not re.fullmatch(r"/api/2\.[12]/jobs/runs/\w+", url.path):
            raise RefusalError(404, "ENDPOINT_NOT_FOUND", f"nothing is at {url.path}")
        query, body = dict(parse_qsl(url.query)), json.loads(request.body or b"{}")
        match request.method:
            case "submit":
                return self._submit(body, hidden=hidden)
            case "get":
                self.reads.append(("get", query))
                return self._told(published.Run, self._run(self._must_be(query["run_id"])))
            case "list":
                self.reads.append(("list", query))
                return self._list_runs(query)
            case "cancel":
                job = self._must_be(str(body["run_id"]))
                job.cancelled = job.cancelled or job.status(self._now()).is_live
                return {}
            case other:
                raise RefusalError(404, "ENDPOINT_NOT_FOUND", f"nothing is at {other}")

    def _grant(self, request: Any) -> dict[str, Any]:
        form = dict(parse_qsl((request.body or b"").decode()))
        pair = base64.b64encode(f"{PRINCIPAL}:{OAUTH_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {pair}":
            raise RefusalError(401, "invalid_client", "Client authentication failed")
        if form != {"grant_type": "client_credentials", "scope": "all-apis"}:
            raise RefusalError(400, "invalid_request", f"these are not the fields: {sorted(form)}")
        self.principals_served += 1
        return {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}

    def _submit(self, body: dict[str, Any], *, hidden: bool) -> dict[str, Any]:
        wrong = list(problems_of(body))
        if wrong:
            self.breaches += wrong
            raise RefusalError(400, "INVALID_PARAMETER_VALUE", "; ".join(wrong))
        key, said = str(body.get("idempotency_token", "")), " ".join(_parameters(body))
        if known := self.jobs.get(self._keys.get(key, "")):
            return {"run_id": int(known.id)}
        if "REFUSE" in said:
            raise RefusalError(400, "INVALID_PARAMETER_VALUE", "Cluster validation error: REFUSE is no node type")
        if "BUSY" in said:
            raise RefusalError(429, "REQUEST_LIMIT_EXCEEDED", "too many requests")
        told = dict(_SAID.findall(said))
        wanted = {"seconds": float(told.get("seconds", 0.0)), "fail": told.get("fail", "")}
        job = self._job(key, wanted, self._now(), hidden=hidden)
        job.id = str(1000 + self._count)
        self.created[key] += 1
        self.jobs[job.id], self._keys[key] = job, job.id
        self.submitted.append(body)
        return {"run_id": int(job.id)}

    def _list_runs(self, query: dict[str, str]) -> dict[str, Any]:
        strange = query.keys() - inspect.signature(published.JobsAPI.list_runs).parameters.keys()
        limit = int(query.get("limit", 20))
        if strange or not 0 < limit < MOST_LISTED:
            self.breaches.append(f"runs/list: {strange or limit}")
            raise RefusalError(400, "INVALID_PARAMETER_VALUE", "unknown parameter, or limit out of range")
        since, until = int(query.get("start_time_from", 0)), int(query.get("start_time_to", 1 << 60))
        seen = [job for job in self.jobs.values() if job.visible_at <= self._now()]
        seen = [job for job in seen if since <= self._started(job) <= until]
        if query.get("active_only") == "true":
            seen = [job for job in seen if job.status(self._now()).is_live]
        seen.sort(key=self._started, reverse=True)
        at = int(query.get("page_token", 0))
        told: dict[str, Any] = {"has_more": len(seen) > at + limit}
        if seen[at : at + limit]:
            told["runs"] = [self._told(published.BaseRun, self._run(job)) for job in seen[at : at + limit]]
        return told | ({"next_page_token": str(at + limit)} if told["has_more"] else {})

    def _told(self, kind: Any, run: dict[str, Any]) -> dict[str, Any]:
        """Check that an answer is one that the vendor's client knows."""
        if kind.from_dict(copy.deepcopy(run)).as_dict() != run:
            self.breaches.append(f"no {kind.__name__}: {run}")
        return run

    def _must_be(self, run_id: str) -> FakeJob:
        job = self.jobs.get(run_id)
        if job is None or job.visible_at > self._now():
            raise RefusalError(400, "INVALID_PARAMETER_VALUE", f"Run {run_id} does not exist.")
        return job

    def _started(self, job: FakeJob) -> int:
        return int((self.epoch + job.created_at) * 1000)

    def _run(self, job: FakeJob) -> dict[str, Any]:
        status = job.status(self._now())
        state: dict[str, Any] = {"life_cycle_state": _LIFE.get(status, "TERMINATED"), "state_message": ""}
        told: dict[str, Any] = {"state": {"QUEUED": "QUEUED", "RUNNING": "RUNNING"}.get(status.name, "TERMINATED")}
        if not status.is_live:
            word, ended = _end_of(job, status)
            state |= word
            told["termination_details"] = ended
        return {
            "run_id": int(job.id),
            "job_id": 7,
            "run_page_url": f"{self.url}/?o=1#job/7/run/{job.id}",
            "run_type": "SUBMIT_RUN",
            "start_time": self._started(job),
            "state": state,
            "status": told,
        }


def _end_of(job: FakeJob, status: JobStatus) -> tuple[dict[str, Any], dict[str, Any]]:
    """Say how a run ended, in the old words and in the new ones: ``fail`` is a result, a life-cycle state or a code."""
    if status is JobStatus.SUCCEEDED:
        return {"result_state": "SUCCESS"}, {"code": "SUCCESS", "type": "SUCCESS", "message": ""}
    if status is JobStatus.CANCELLED:
        message = "Run cancelled."
        ended = {"code": "USER_CANCELED", "type": "CLIENT_ERROR", "message": message}
        return {"result_state": "CANCELED", "state_message": message}, ended
    message = f"Workload failed: {job.fail}"
    if job.fail in {"SKIPPED", "INTERNAL_ERROR"}:
        return {"life_cycle_state": job.fail, "state_message": message}, {"message": message}
    if job.fail in CODES:
        return {"result_state": "FAILED", "state_message": message}, {"code": job.fail, "message": message}
    return {"result_state": job.fail, "state_message": message}, {"message": message}


def problems_of(body: Mapping[str, Any]) -> Iterator[str]:
    """Say what the vendor's client does not know of a run that is submitted."""
    known = inspect.signature(published.JobsAPI.submit).parameters.keys()
    for name in body.keys() - known:
        yield f"{name} is no member of a run that is submitted"
    if not body.get("tasks"):
        yield "a run has tasks"
    if len(str(body.get("idempotency_token", ""))) > LONGEST_TOKEN:
        yield "idempotency_token is longer than 64"
    for name in _PARTS.keys() & body.keys():
        given = body[name] if isinstance(body[name], list) else [body[name]]
        for part in copy.deepcopy(given):
            if name == "environments":  # not published: where flytekit's connector puts variables before version 5
                part.get("spec", {}).pop("environment_vars", None)
            if _PARTS[name].from_dict(copy.deepcopy(part)).as_dict() != part:
                yield f"{name} is not as it is published: {part}"


def _parameters(body: Mapping[str, Any]) -> Iterator[str]:
    for task in body["tasks"]:
        yield from task.get("spark_python_task", {}).get("parameters", ())
        yield from task.get("notebook_task", {}).get("base_parameters", {}).values()


def _reply(status: int, told: object) -> FakeReply:
    return FakeReply(status, {"content-type": "application/json"}, json.dumps(told).encode())
