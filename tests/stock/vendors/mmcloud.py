"""
Memory Machine Cloud's OpCenter, to which its command line ``float`` talks (``tests/stock/opcenter/float``).

What lies between the two is not public, and ours; the words of the command line and of its answers are MemVerge's.
"""

from __future__ import annotations

import itertools
import os

from tests.stock.environments import HERE
from tests.stock.vendor import Job, Reply, Request, Vendor

USER, PASSWORD, TOKEN = "robot", "dose-planted-78", "mm-planted-token"


class MemoryMachine(Vendor):
    """An OpCenter."""

    def reset(self) -> None:
        super().reset()
        self._numbers = itertools.count(1)

    def variables(self) -> dict[str, str]:
        return {
            "PATH": f"{HERE / 'opcenter'}:{os.environ['PATH']}",
            "FLOAT_OPCENTER": self.url,
            "_FSEC_MMC_ADDRESS": "127.0.0.1",
            "_FSEC_MMC_USERNAME": USER,
            "_FSEC_MMC_PASSWORD": PASSWORD,
        }

    def is_create(self, request: Request) -> bool:
        return request.method == "POST" and request.path == "/jobs"

    def answer(self, request: Request) -> Reply:
        if request.method == "POST" and request.path == "/login":
            right = request.body == {"username": USER, "password": PASSWORD}
            return Reply(body={"token": TOKEN}) if right else Reply(status=401, body={"error": "wrong password"})
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(status=401, body={"error": "login first"})
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["login"]:
                return Reply(body={"username": USER})
            case "POST", ["jobs"]:
                job = self.make(f"j{next(self._numbers)}", "Submitted", request.body)
                return Reply(body={"id": job.id, "status": job.status})
            case "GET", ["jobs", name] if name in self.jobs:
                self.jobs[name].polls += 1
                return Reply(body={"id": name, "status": self.jobs[name].status})
            case "DELETE", ["jobs", name] if name in self.jobs:
                self.jobs[name].status = "Cancelled"
                return Reply(body={})
            case _:
                return Reply(status=404, body={"error": "no such job"})

    def finish(self, job: Job) -> None:
        job.status = "Completed"

    def fail(self, job: Job, *, system: bool) -> None:
        job.status = "NoAvailableHost" if system else "FailToComplete"
