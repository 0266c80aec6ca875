"""
Databricks' jobs of one run, by the public description of its Jobs API 2.1, behind TLS.
"""

from __future__ import annotations

import itertools

from tests.stock.vendor import Job, Reply, Request, Vendor

CLIENT, SECRET, TOKEN = "robot", "dose-planted-77", "eyJ-planted-token"
NEEDED = {"git_source"}
KNOWN = NEEDED | {"run_name", "new_cluster", "existing_cluster_id", "spark_python_task", "tasks", "environments"}


class Databricks(Vendor):
    """A workspace. The status of a job is its life-cycle state and its result, as in ``TERMINATED/SUCCESS``."""

    def reset(self) -> None:
        super().reset()
        self._numbers = itertools.count(1)

    def variables(self) -> dict[str, str]:
        return {
            "FLYTE_DATABRICKS_INSTANCE": f"127.0.0.1:{self.port}",
            "FLYTE_DATABRICKS_AUTH_TYPE": "oauth_m2m",
            "DATABRICKS_CLIENT_ID": CLIENT,
            "DATABRICKS_CLIENT_SECRET": SECRET,
        }

    def is_create(self, request: Request) -> bool:
        return request.path.endswith("/runs/submit")

    def answer(self, request: Request) -> Reply:
        if request.path == "/oidc/v1/token":
            return Reply(body={"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(status=401, body={"error_code": "UNAUTHENTICATED", "message": "the token is wrong"})
        match request.method, request.path.removeprefix("/api/2.1/jobs/runs/"):
            case "POST", "submit":
                if not NEEDED <= request.body.keys() <= KNOWN:
                    self.complaints.append(f"these are not the fields of a run: {sorted(request.body)}")
                job = self.make(str(next(self._numbers)), "RUNNING/", request.body)
                return Reply(body={"run_id": int(job.id)})
            case "GET", "get" if request.query["run_id"] in self.jobs:
                return Reply(body=_run(self.jobs[request.query["run_id"]]))
            case "POST", "cancel" if str(request.body["run_id"]) in self.jobs:
                self.jobs[str(request.body["run_id"])].status = "TERMINATED/CANCELED"
                return Reply(body={})
            case _:
                return Reply(status=404, body={"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"})

    def finish(self, job: Job) -> None:
        job.status = "TERMINATED/SUCCESS"

    def fail(self, job: Job, *, system: bool) -> None:
        job.status = "INTERNAL_ERROR/FAILED" if system else "TERMINATED/FAILED"
        job.message = "the cluster was lost" if system else "ZeroDivisionError: division by zero"


def _run(job: Job) -> dict[str, object]:
    job.polls += 1
    life, _, result = job.status.partition("/")
    state = {"life_cycle_state": life, "state_message": job.message} | ({"result_state": result} if result else {})
    return {"run_id": int(job.id), "job_id": 7, "state": state}
