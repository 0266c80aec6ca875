"""
Airbyte's jobs, by its public API reference; and two pages that are asked for over HTTP.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

from tests.stock.vendor import Job, Reply, Request, Vendor

CLIENT, SECRET, TOKEN = "robot", "dose-planted-78", "airbyte-planted-token"
KINDS = {"sync", "reset", "refresh", "clear"}
ROOT = "/api/public/v1"


class Airbyte(Vendor):
    """
    An instance. The status of a job is Airbyte's.

    Attributes:
        pages: What is answered elsewhere, by its path: a status code.
        pages_asked: What was asked for elsewhere.
    """

    def reset(self) -> None:
        super().reset()
        self._numbers = itertools.count(1)
        self.pages: dict[str, int] = {}
        self.pages_asked: list[str] = []

    def variables(self) -> dict[str, str]:
        airbyte = {"conn_type": "airbyte", "host": f"{self.url}{ROOT}", "login": CLIENT, "password": SECRET}
        airbyte["schema"] = f"{self.url}{ROOT}/applications/token"
        pages = {"conn_type": "http", "host": "127.0.0.1", "port": self.port}
        return {
            "AIRFLOW_CONN_AIRBYTE_DEFAULT": json.dumps(airbyte),
            "AIRFLOW_CONN_HTTP_DEFAULT": json.dumps(pages),
        }

    def is_create(self, request: Request) -> bool:
        return request.method == "POST" and request.path == f"{ROOT}/jobs"

    def answer(self, request: Request) -> Reply:
        if not request.path.startswith(ROOT):
            self.pages_asked.append(request.path)
            return Reply(status=self.pages.get(request.path, 404), body={"said": "hello"})
        if request.path == f"{ROOT}/applications/token":
            return Reply(body={"access_token": TOKEN, "token_type": "Bearer", "expires_in": 180})
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _problem(401, "unauthorized")
        match request.method, request.path.removeprefix(ROOT).strip("/").split("/"):
            case "POST", ["jobs"]:
                return self._create(request.body)
            case "GET", ["jobs", name] if name in self.jobs:
                self.jobs[name].polls += 1
                return Reply(body=_job(self.jobs[name]))
            case "DELETE", ["jobs", name] if name in self.jobs:
                self.jobs[name].status = "cancelled"
                return Reply(body=_job(self.jobs[name]))
            case _:
                return _problem(404, "resource-not-found")

    def finish(self, job: Job) -> None:
        job.status = "succeeded"

    def fail(self, job: Job, *, system: bool) -> None:
        job.status = "incomplete" if system else "failed"

    def _create(self, body: Any) -> Reply:
        if not {"connectionId", "jobType"} <= body.keys() or body["jobType"] not in KINDS:
            self.complaints.append(f"these are not the parameters of a job: {body}")
        return Reply(body=_job(self.make(str(next(self._numbers)), "running", body)))


def _job(job: Job) -> dict[str, object]:
    times = {"startTime": "2026-11-01T10:00:00Z", "lastUpdatedAt": "2026-11-01T10:00:01Z", "duration": "PT1S"}
    asked = {"connectionId": job.asked["connectionId"], "jobType": job.asked["jobType"]}
    return {"jobId": int(job.id), "status": job.status, **asked, **times}


def _problem(status: int, kind: str) -> Reply:
    return Reply(
        status=status, body={"status": status, "type": f"https://reference.airbyte.com/reference/errors#{kind}"}
    )
