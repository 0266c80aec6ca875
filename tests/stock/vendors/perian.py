"""
PERIAN's jobs, by the models of its own client, which is made of PERIAN's OpenAPI description.

The connector always goes to ``api.perian.cloud`` over TLS, and its client minds no proxy: the service listens where
HTTPS does, at an address of loopback that is its own, and the connector's process has hosts of its own.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.stock.environments import HERE, python_of
from tests.stock.vendor import Job, Reply, Request, Vendor
from tests.support.pki import Authority
from tests.support.programs import die_with_us

HOST, PORT = "api.perian.cloud", 443
ORGANIZATION, TOKEN = "an-org", "perian-planted-token"
STORAGE = {"AWS_ACCESS_KEY_ID": "AKIAPLANTED", "AWS_SECRET_ACCESS_KEY": "storage-planted-79"}
UNKNOWN = "No job found with specified ID"
OVER = "The job you are trying to cancel is already complete."
ENDED = {"Done", "UserError", "ServerError", "Cancelled", "Timeout"}
WITH_HOSTS = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')


class Perian(Vendor):
    """
    The platform. The status of a job is PERIAN's; a message is the log of a job, or PERIAN's word on its end.

    Attributes:
        refused: Why requests were refused.
    """

    def __init__(self, authority: Authority) -> None:
        self._authority, self._client = authority, _NewestClient()
        own = ipaddress.IPv4Address("127.64.0.0") + os.getpid()  # nobody else's at this time
        super().__init__(authority.sign("perian", "perian", hosts=[HOST]), address=(str(own), PORT))
        self._address = own

    def reset(self) -> None:
        super().reset()
        self._numbers = itertools.count(1)
        self.refused: list[str] = []

    def __exit__(self, *ended: Any) -> None:
        super().__exit__(*ended)
        self._client.close()

    def variables(self) -> dict[str, str]:
        return {
            "SSL_CERT_FILE": str(self._authority.cert),
            "_FSEC_PERIAN_ORGANIZATION": ORGANIZATION,
            "_FSEC_PERIAN_TOKEN": TOKEN,
            **{f"_FSEC_{name}": value for name, value in STORAGE.items()},
        }

    def where_it_is_found(self, folder: Path) -> Sequence[str]:
        """Return what the command line of a program begins with that is to find PERIAN here: it takes root."""
        hosts = folder / "hosts"
        hosts.write_text(f"{self._address} {HOST}\n{Path('/etc/hosts').read_text()}")
        return (*WITH_HOSTS, str(hosts))

    def is_create(self, request: Request) -> bool:
        return request.method == "POST" and request.path == "/job"

    def answer(self, request: Request) -> Reply:
        told = (request.headers.get("x-perian-auth-org"), request.headers.get("authorization"))
        if told != (ORGANIZATION, f"Bearer {TOKEN}"):
            return self._refuse("these are not the credentials of an organization")
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["job"]:
                job = self.make(f"job-{next(self._numbers)}", "Running", request.body)
                return self._compared("create_job", request, Reply(body=_success("Job created", id=job.id)))
            case "GET", ["job", name]:
                return self._compared("get_job_by_id", request, self._get(name), job_id=name)
            case "PATCH", ["job", name, "cancel"]:
                return self._compared("cancel_job", request, self._cancel(name), job_id=name)
            case _:
                self.complaints.append(f"there is no {request.method} {request.path}")
                return Reply(status=404, body={"detail": "Not Found"})

    def finish(self, job: Job) -> None:
        job.status = "Done"

    def fail(self, job: Job, *, system: bool) -> None:
        job.message = "the instance was lost" if system else "ZeroDivisionError: division by zero"
        job.status = "ServerError" if system else "UserError"

    def _get(self, name: str) -> Reply:
        if name not in self.jobs:
            return self._refuse(UNKNOWN)
        job = self.jobs[name]
        job.polls += 1
        shown = {"id": name, "status": "Queued" if job.status == "Running" and job.polls == 1 else job.status}
        if job.message:
            shown["errors" if job.status == "ServerError" else "logs"] = job.message
        return Reply(body=_success("Operation was successful", limit=1, no=1, jobs=[shown]))

    def _cancel(self, name: str) -> Reply:
        if name not in self.jobs:
            return self._refuse(UNKNOWN)
        if self.jobs[name].status in ENDED:
            return self._refuse(OVER)
        self.jobs[name].status = "Cancelled"
        return Reply(body=_success("Operation was successful"))

    def _refuse(self, detail: str) -> Reply:
        self.refused.append(detail)
        told = {"status": "Error", "message": "Operation failed due to a client error", "detail": detail}
        return Reply(status=400, body={**told, "status_code": 400})

    def _compared(self, operation: str, request: Request, reply: Reply, **arguments: str) -> Reply:
        self.complaints += self._client.repeat(operation, request, reply, arguments)
        return reply


class _NewestClient:
    """PERIAN's newest client, which makes each call again."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [*die_with_us(), str(python_of("perian")), str(HERE / "repeat_perian.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()

    def repeat(self, operation: str, request: Request, reply: Reply, arguments: dict[str, str]) -> list[str]:
        """Say what it does otherwise, and what it does not find in the answer."""
        call: dict[str, object] = {"operation": operation, "arguments": arguments, "method": request.method}
        call |= {"path": request.path, "headers": dict(request.headers), "body": request.body}
        call |= {"status": reply.status, "answer": reply.body}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(f"{json.dumps(call)}\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        found: list[str] = json.loads(line) if line else [f"{operation}: the newest client has ended"]
        return found

    def close(self) -> None:
        self._process.communicate()


def _success(message: str, **more: object) -> dict[str, object]:
    return {"status": "Success", "message": message, "detail": "", "status_code": 200, **more}
