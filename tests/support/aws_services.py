"""
Amazon's services in memory and over HTTP, by the models that Amazon publishes and not by our plugins.

Each request is checked: its signature with the secret key, its members against botocore's model of the operation. What
is wrong is answered as Amazon does, and kept in ``breaches``. The faults and the log are those of the kit's fake job
service; an operation's name takes the place of the HTTP method.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from botocore import loaders, model, validate
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from airscrew.engine.testing.job_service import FakeJobService, Fault
from airscrew.engine.testing.job_service.jobs import FakeJob, FakeReply, JobStatus

ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "s3cr3t-k3y-v4lue"
SESSION_TOKEN = "t0ken-of-the-session"
_SAID = re.compile(r"(\w+)=([\w.]+)")


def load_model(service: str) -> model.ServiceModel:
    return model.ServiceModel(loaders.Loader().load_service_model(service, "service-2"), service)


_MODELS: dict[str, model.ServiceModel] = {}


class RefusalError(Exception):
    """What Amazon answers an error with."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass(slots=True, kw_only=True)
class FakeAws(FakeJobService):
    """One service of Amazon's; a subclass has a method for each operation, by the library's name of it."""

    service: str = ""
    secret_key: str = SECRET_KEY
    breaches: list[str] = field(default_factory=list)
    requests_made: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.service not in _MODELS:
            _MODELS[self.service] = load_model(self.service)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> FakeReply:
        lower = {name.lower(): value for name, value in headers.items()}
        operation = self._operation(urlsplit(url).path, lower)
        return await FakeJobService.request(self, operation, url, headers=lower, body=body, timeout=timeout)

    def of_operation(self, name: str) -> list[dict[str, Any]]:
        return [body for operation, body in self.requests_made if operation == name]

    def _operation(self, path: str, headers: Mapping[str, str]) -> str:
        if "x-amz-target" in headers:
            return headers["x-amz-target"].rpartition(".")[2]
        names = _MODELS[self.service].operation_names
        found = [name for name in names if _MODELS[self.service].operation_model(name).http["requestUri"] == path]
        return found[0] if found else "Unknown"

    def _act(self, request: Any, fault: Fault | None = None) -> FakeReply:
        try:
            self._check_signature(request)
            operation = _MODELS[self.service].operation_model(request.method)
            body = json.loads(request.body or b"{}")
            self._check_body(operation, body)
            self.requests_made.append((request.method, body))
            answer = self._operations()[request.method](body, fault is Fault.HIDDEN)
            return reply(200, answer)
        except RefusalError as refusal:
            told = {"__type": refusal.code, "message": str(refusal)}
            return reply(refusal.status, told, {"x-amzn-errortype": refusal.code})

    def _operations(self) -> Mapping[str, Callable[[dict[str, Any], bool], dict[str, Any]]]:
        raise NotImplementedError

    def _check_body(self, operation: model.OperationModel, body: dict[str, Any]) -> None:
        report = validate.ParamValidator().validate(body, operation.input_shape)
        too_long = list(_too_long(body, operation.input_shape))
        if report.has_errors() or too_long:
            self.breaches.append(f"{operation.name}: {report.generate_report()} {too_long}")
            raise RefusalError("ValidationException", report.generate_report())

    def _check_signature(self, request: Any) -> None:
        expected = signature(request.url, request.headers, request.body or b"", self.service, self.secret_key)
        if not request.headers.get("authorization", "").endswith(f"Signature={expected}"):
            token = request.headers.get("x-amz-security-token", "")
            text = f"The request signature does not match. The canonical string: x-amz-security-token:{token}"
            raise RefusalError("SignatureDoesNotMatch", text, 403)

    def _new_job(self, key: str, said: str, *, hidden: bool) -> FakeJob:
        wanted = dict(_SAID.findall(said))
        seconds = float(wanted.get("seconds", 0.0))
        return self._job(key, {"seconds": seconds, "fail": wanted.get("fail", "")}, self._now(), hidden=hidden)

    def _seen(self, job_id: str) -> FakeJob | None:
        job = self.jobs.get(job_id)
        return job if job is not None and job.visible_at <= self._now() else None


def signature(url: str, headers: Mapping[str, str], body: bytes, service: str, secret: str) -> str:
    """Sign a request that was received once more, by what it says was signed."""
    authorization = headers.get("authorization", "")
    named = dict(re.findall(r"(Credential|SignedHeaders)=([^,\s]+)", authorization))
    if len(named) != 2:
        return ""
    access, _, region, _, _ = named["Credential"].split("/")
    signed = {name: headers[name] for name in named["SignedHeaders"].split(";") if name in headers}
    again = AWSRequest(method="POST", url=url, data=body, headers=signed)
    again.context["timestamp"] = headers.get("x-amz-date", "")
    signer = SigV4Auth(Credentials(access, secret), service, region)
    return str(signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again))


def reply(status: int, told: object, headers: Mapping[str, str] | None = None) -> FakeReply:
    return FakeReply(
        status, {"content-type": "application/x-amz-json-1.1", **(headers or {})}, json.dumps(told).encode()
    )


def _too_long(value: object, shape: Any) -> Any:
    """Find texts over the model's limit, which the library does not look at."""
    if isinstance(value, dict) and shape.type_name == "structure":
        for name, part in value.items():
            if name in shape.members:
                yield from _too_long(part, shape.members[name])
    elif isinstance(value, list) and shape.type_name == "list":
        for part in value:
            yield from _too_long(part, shape.member)
    elif isinstance(value, str) and len(value) > shape.metadata.get("max", len(value)):
        yield f"{shape.name}: {len(value)}"


@dataclass(slots=True, kw_only=True)
class FakeAthena(FakeAws):
    """Athena: a statement says ``seconds=20 fail=SYSTEM`` or the like in a comment."""

    service: str = "athena"
    started: dict[str, dict[str, Any]] = field(default_factory=dict)
    unprocessed: set[str] = field(default_factory=set)

    def _operations(self) -> Mapping[str, Callable[[dict[str, Any], bool], dict[str, Any]]]:
        return {
            "StartQueryExecution": self.start,
            "GetQueryExecution": self.get_one,
            "BatchGetQueryExecution": self.get_batch,
            "StopQueryExecution": self.stop,
        }

    def start(self, body: dict[str, Any], hidden: bool) -> dict[str, Any]:
        token = body["ClientRequestToken"]
        known = self._keys.get(token)
        if known is not None:
            if self.started[known] != body:
                raise RefusalError("InvalidRequestException", "Idempotent parameters do not match")
            return {"QueryExecutionId": known}
        if "REFUSE" in body["QueryString"]:
            raise RefusalError("InvalidRequestException", "line 1:1: mismatched input 'REFUSE'")
        key = token.removeprefix("airscrew-").rstrip("-")
        job = self._new_job(key, body["QueryString"], hidden=hidden)
        self.created[key] += 1
        self.jobs[job.id] = job
        self._keys[token], self.started[job.id] = job.id, body
        return {"QueryExecutionId": job.id}

    def get_one(self, body: dict[str, Any], hidden: bool) -> dict[str, Any]:
        return {"QueryExecution": self._execution(self._must_be(body["QueryExecutionId"]))}

    def get_batch(self, body: dict[str, Any], hidden: bool) -> dict[str, Any]:
        wanted = body["QueryExecutionIds"]
        if len(wanted) > 50:
            raise RefusalError("InvalidRequestException", "too many ids")
        told = [job for job_id in wanted if job_id not in self.unprocessed and (job := self._seen(job_id))]
        names = {job.id for job in told}
        left = [{"QueryExecutionId": one, "ErrorCode": "INTERNAL"} for one in wanted if one not in names]
        return {"QueryExecutions": [self._execution(job) for job in told], "UnprocessedQueryExecutionIds": left}

    def stop(self, body: dict[str, Any], hidden: bool) -> dict[str, Any]:
        job = self._must_be(body["QueryExecutionId"])
        if job.status(self._now()).is_live:
            job.cancelled = True
        return {}

    def _must_be(self, job_id: str) -> FakeJob:
        job = self._seen(job_id)
        if job is None:
            raise RefusalError("InvalidRequestException", f"QueryExecution {job_id} was not found")
        return job

    def _execution(self, job: FakeJob) -> dict[str, Any]:
        status = job.status(self._now())
        told: dict[str, Any] = {"State": status.value.upper()}
        if status is JobStatus.FAILED:
            category = {"SYSTEM": 1, "USER": 2}.get(job.fail, 3)
            told["StateChangeReason"] = f"the query failed: {job.fail}"
            told["AthenaError"] = {"ErrorCategory": category, "Retryable": job.fail != "USER"}
        place = self.started[job.id].get("ResultConfiguration", {}).get("OutputLocation", "s3://of-the-workgroup/")
        return {
            "QueryExecutionId": job.id,
            "Status": told,
            "ResultConfiguration": {"OutputLocation": f"{place}{job.id}.csv"},
        }


@dataclass(slots=True, kw_only=True)
class FakeBatch(FakeAws):
    """Batch: a command says ``seconds=20 fail=137`` or the like; what fails is an exit code, or a reason."""

    service: str = "batch"
    queues: tuple[str, ...] = ("queue",)
    submitted: dict[str, dict[str, Any]] = field(default_factory=dict)
    definitions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def _operations(self) -> Mapping[str, Callable[[dict[str, Any], bool], dict[str, Any]]]:
        return {
            "SubmitJob": self.submit,
            "DescribeJobs": self.describe,
            "ListJobs": self.list_by_name,
            "TerminateJob": self.terminate,
            "DescribeJobDefinitions": self.describe_definitions,
            "RegisterJobDefinition": self.register,
        }

    def submit(self, body: dict[str, Any], hidden: bool) -> dict[str, Any]:
        if body["jobQueue"] not in self.queues:
            raise RefusalError("ClientException", f"Job Queue {body['jobQueue']} not found.")
        if body["jobDefinition"] not in self.definitions:
            raise RefusalError("ClientException", f"Job definition {body['jobDefinition']} not found.")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", body["jobName"]):
            raise RefusalError("ClientException", "the name of the job is not allowed")
        said = " ".join(body.get("containerOverrides", {}).get("command", ()))
        job = self._new_job(body["jobName"], said, hidden=hidden)
        self.created[job.key] += 1
        self.jobs[job.id], self.submitted[job.id] = job, body
        return {"jobArn": f"arn:aws:batch:eu-west-1:1:job/{job.id}", "jobName": job.key, "jobId": job.id}

    def describe(self, body: dict[str, Any], hidden: bool) -> dict[str, Any]:
        if len(body["jobs"]) > 100:
            raise RefusalError("ClientException", "too many jobs")
        return {"jobs": [self._detail(job) for job_id in body["jobs"] if (job := self._seen(job_id))]}

    def list_by_name(self, body: dict[str, Any], hidden: bool) -> dict[str, Any]:
        (wanted,) = body["filters"]
        assert wanted["name"] == "JOB_NAME"
        names = {name.lower() for name in wanted["values"]}
        seen = [job for job in self.jobs.values() if self._seen(job.id) and job.key.lower() in names]
        seen = [job for job in seen if self.submitted[job.id]["jobQueue"] == body["jobQueue"]]
        told = [{"jobId": job.id, "jobName": job.key, "createdAt": int(job.created_at * 1000)} for job in seen]
        at = int(body.get("nextToken", 0))
        page: dict[str, Any] = {"jobSummaryList": told[at : at + 1]}
        return page | ({"nextToken": str(at + 1)} if at + 1 < len(told) else {})

    def terminate(self, body: dict[str, Any], hidden: bool) -> dict[str, Any]:
        job = self._seen(body["jobId"])
        if job is not None and job.status(self._now()).is_live:
            job.cancelled = True
        return {}

    def describe_definitions(self, body: dict[str, Any], hidden: bool) -> dict[str, Any]:
        known = self.definitions.get(body["jobDefinitionName"], [])
        return {"jobDefinitions": [self._definition(body["jobDefinitionName"], len(known))] if known else []}

    def register(self, body: dict[str, Any], hidden: bool) -> dict[str, Any]:
        revisions = self.definitions.setdefault(body["jobDefinitionName"], [])
        revisions.append(body)
        return self._definition(body["jobDefinitionName"], len(revisions))

    def _definition(self, name: str, revision: int) -> dict[str, Any]:
        arn = f"arn:aws:batch:eu-west-1:1:job-definition/{name}:{revision}"
        return {"jobDefinitionName": name, "jobDefinitionArn": arn, "revision": revision, "type": "container"}

    def _detail(self, job: FakeJob) -> dict[str, Any]:
        status = job.status(self._now())
        words = {JobStatus.QUEUED: "RUNNABLE", JobStatus.CANCELLED: "FAILED"}
        told: dict[str, Any] = {
            "jobId": job.id,
            "jobName": job.key,
            "jobQueue": "arn",
            "jobDefinition": "arn",
            "startedAt": 0,
            "status": words.get(status, status.value.upper()),
            "container": {"logStreamName": f"airscrew/default/{job.id}"},
        }
        if status is JobStatus.CANCELLED:
            told["statusReason"] = "killed by airscrew"
        elif status is JobStatus.FAILED and job.fail.isdecimal():
            told["statusReason"] = "Essential container in task exited"
            told["container"]["exitCode"] = int(job.fail)
        elif status is JobStatus.FAILED:
            told |= _FAILURES[job.fail]
        return told


_FAILURES: dict[str, dict[str, Any]] = {
    "machine": {"statusReason": "Host EC2 (instance i-1) terminated.", "container": {}},
    "memory": {
        "statusReason": "Essential container in task exited",
        "container": {"exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"},
    },
    "image": {
        "statusReason": "Task failed to start",
        "container": {"reason": "CannotPullContainerError: no such image"},
    },
}
