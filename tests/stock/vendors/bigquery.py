"""
BigQuery's jobs, by Google's discovery document, and the token service of a service account.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.stock.discovery import problems
from tests.stock.vendor import Job, Reply, Request, Vendor

TOKEN = "ya29.planted-token"


class BigQuery(Vendor):
    """A project, in which a job's id can be used once."""

    account: Path
    """The key file of its service account."""

    def variables(self) -> dict[str, str]:
        return {"BIGQUERY_EMULATOR_HOST": self.url, "GOOGLE_APPLICATION_CREDENTIALS": str(self.account)}

    def write_account(self, folder: Path) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        formats = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        told = {
            "type": "service_account",
            "project_id": "a-project",
            "private_key_id": "1",
            "private_key": key.private_bytes(*formats).decode(),
            "client_email": "robot@a-project.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"{self.url}/token",
        }
        self.account = folder / "account.json"
        self.account.write_text(json.dumps(told))

    def is_create(self, request: Request) -> bool:
        return request.method == "POST" and request.path.endswith("/jobs")

    def answer(self, request: Request) -> Reply:
        if request.path == "/token":
            return Reply(body={"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, "authError", "Invalid Credentials")
        match request.method, request.path.removeprefix("/bigquery/v2/projects/").split("/"):
            case "POST", ["a-project", "jobs"]:
                return self._insert(request.body)
            case "GET", ["a-project", "jobs", name] if name in self.jobs:
                self.jobs[name].polls += 1
                return Reply(body=_job(self.jobs[name]))
            case "POST", ["a-project", "jobs", name, "cancel"] if name in self.jobs:
                self.jobs[name].status = "CANCELLED"
                return Reply(body={"kind": "bigquery#jobCancelResponse", "job": _job(self.jobs[name])})
            case _:
                return _error(404, "notFound", f"Not found: {request.path}")

    def finish(self, job: Job) -> None:
        job.status = "DONE"

    def fail(self, job: Job, *, system: bool) -> None:
        job.status = "FAILED"
        job.message = "backendError: try again" if system else "invalidQuery: no such column"

    def _insert(self, body: Any) -> Reply:
        self.complaints += problems("bigquery.v2", "Job", body)
        name = body["jobReference"]["jobId"]
        if name in self.jobs:
            return _error(409, "duplicate", f"Already Exists: Job a-project:EU.{name}")
        return Reply(body=_job(self.make(name, "RUNNING", body)))


def _job(job: Job) -> dict[str, object]:
    reason, _, message = job.message.partition(": ")
    if job.status == "CANCELLED":
        reason, message = "stopped", "Job execution was cancelled"
    error = {"reason": reason, "message": message}
    failed = {"errorResult": error, "errors": [error]} if reason else {}
    query = job.asked["configuration"]["query"]
    table = {"projectId": "a-project", "datasetId": "_anon", "tableId": "t1"}
    told = {
        "kind": "bigquery#job",
        "id": f"a-project:EU.{job.id}",
        "jobReference": {"projectId": "a-project", "jobId": job.id, "location": "EU"},
        "configuration": {"jobType": "QUERY", "query": {**query, "destinationTable": table}},
        "status": {"state": "RUNNING" if job.status == "RUNNING" else "DONE", **failed},
    }
    assert problems("bigquery.v2", "Job", told) == []
    return told


def _error(status: int, reason: str, message: str) -> Reply:
    errors = [{"reason": reason, "message": message, "domain": "global"}]
    return Reply(status=status, body={"error": {"code": status, "message": message, "errors": errors}})
