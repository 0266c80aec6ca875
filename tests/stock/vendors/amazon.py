"""
Amazon's SageMaker: a model, the configuration of an endpoint, and endpoints, which are the jobs.

moto keeps all of it; before it stands what moto does not do: an endpoint takes its time, may fail, and is made once of
one name. Each request is compared with botocore's model of its operation.
"""

from __future__ import annotations

import json
import tempfile
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from botocore import validate
from tests.stock.vendor import Job, Reply, Request, Vendor
from tests.support.aws_services import load_model
from tests.support.moto_server import aws_client, moto_server

REGION = "eu-west-1"
MADE = {"CreateEndpoint": "EndpointName", "CreateModel": "ModelName"}
REFUSED = "ValidationException"


class Amazon(Vendor):
    """
    SageMaker. The status of a job is that of its endpoint; a model is a job that is over at once.

    Attributes:
        refuses: What is answered to a create, as a status and a code; nothing: it is made.
    """

    def __init__(self) -> None:
        self._model = load_model("sagemaker")
        self._stack, self._moto = ExitStack(), ""
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self.refuses: tuple[int, str] | None = None

    def __exit__(self, *ended: Any) -> None:
        super().__exit__(*ended)
        self._stack.close()

    def begin(self) -> None:
        """Begin moto, which takes seconds and ends with the thread that begins it: before anything is asked for."""
        if not self._moto:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory())
            self._moto = self._stack.enter_context(moto_server(Path(folder)))
            _prepare(self._moto)

    def variables(self) -> dict[str, str]:
        keys = {"AWS_ACCESS_KEY_ID": "AKIDPLANTED", "AWS_SECRET_ACCESS_KEY": "planted-77-key"}
        return {"AWS_ENDPOINT_URL": self.url, "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "2", **keys}

    def is_create(self, request: Request) -> bool:
        return _operation(request) in MADE

    def answer(self, request: Request) -> Reply:
        operation = _operation(request)
        report = validate.ParamValidator().validate(request.body, self._model.operation_model(operation).input_shape)
        if report.has_errors():
            self.complaints.append(f"{operation}: {report.generate_report()}")
        name = str(request.body.get(MADE.get(operation, "EndpointName"), ""))
        if operation in MADE:
            return self._create(operation, name, request)
        told = self._forward(request)
        job = self.jobs.get(name)
        if job is None or told.status != 200:
            return told
        if operation == "DeleteEndpoint":
            job.status = "Deleted"
        if operation == "DescribeEndpoint":
            job.polls += 1
            why = {"FailureReason": job.message} if job.message else {}
            return Reply(body={**told.body, "EndpointStatus": job.status, **why})
        return told

    def finish(self, job: Job) -> None:
        job.status = "InService"

    def fail(self, job: Job, *, system: bool) -> None:
        job.status = "Failed"
        job.message = "CapacityError: no machines are left" if system else "the container did not pass the ping check"

    def is_cancelled(self, job: Job) -> bool:
        return job.status == "Deleted"

    def _create(self, operation: str, name: str, request: Request) -> Reply:
        if self.refuses is not None:
            status, code = self.refuses
            return _error(status, code, "it is refused")
        if name in self.jobs:
            kind = operation.removeprefix("Create").lower()
            arn = f"arn:aws:sagemaker:{REGION}:123456789012:{kind}/{name}"
            return _error(400, REFUSED, f'Cannot create already existing {kind} "{arn}".')
        told = self._forward(request)
        if told.status == 200:
            self.make(name, "Creating" if operation == "CreateEndpoint" else "Made", request.body)
        return told

    def _forward(self, request: Request) -> Reply:
        sent = urllib.request.Request(
            self._moto, data=json.dumps(request.body).encode(), headers=dict(request.headers), method="POST"
        )
        try:
            with urllib.request.urlopen(sent, timeout=30) as answer:
                return Reply(body=json.loads(answer.read() or b"{}"))
        except urllib.error.HTTPError as error:
            return Reply(status=error.code, body=json.loads(error.read()))


def _prepare(url: str) -> None:
    """Make the configuration that endpoints are made by."""
    role = "arn:aws:iam::123456789012:role/serving"
    client = aws_client("sagemaker", url)
    client.create_model(ModelName="a-model", ExecutionRoleArn=role, PrimaryContainer={"Image": "an/image:v1"})
    variant = {"VariantName": "all", "ModelName": "a-model", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    client.create_endpoint_config(EndpointConfigName="a-config", ProductionVariants=[variant])


def _operation(request: Request) -> str:
    return request.headers.get("x-amz-target", "").rpartition(".")[2]


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status=status, body={"__type": code, "message": message})
