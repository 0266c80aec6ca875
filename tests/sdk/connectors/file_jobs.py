"""
A flytekit connector of a test's own: a job is a file in the folder ``FILE_JOBS``, so that a test counts jobs itself.

What the job does, its input ``how`` says; among it whatever a connector ought not to do.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyteidl.admin.agent_pb2 import GetTaskLogsResponse, GetTaskLogsResponseBody, GetTaskMetricsResponse
from flyteidl.core.execution_pb2 import TaskExecution, TaskLog
from flyteidl.core.metrics_pb2 import ExecutionMetricResult
from flytekit.extend.backend.base_connector import (
    AsyncConnectorBase,
    ConnectorRegistry,
    Resource,
    ResourceMeta,
    SyncConnectorBase,
)


@dataclass
class FileJob(ResourceMeta):
    path: str


def _read(job: FileJob) -> dict[str, Any]:
    """Read a job; what is raised says what the library of a provider says."""
    if not Path(job.path).exists():
        raise RuntimeError(f"404 Client Error: Not Found for url: https://jobs.example/{Path(job.path).name}")
    told = dict(json.loads(Path(job.path).read_text()))
    if told.get("away"):
        raise ConnectionError("[Errno -2] jobs.example: name or service not found")
    return told


def _write(job: FileJob, told: dict[str, Any]) -> None:
    Path(job.path).write_text(json.dumps(told))


class FileConnector(AsyncConnectorBase):
    name = "File Connector"

    def __init__(self, version: int = 0) -> None:
        super().__init__(task_type_name="file_job", task_type_version=version, metadata_type=FileJob)

    def create(self, task_template: Any, inputs: Any = None, output_prefix: str = "", **more: Any) -> FileJob:
        how = inputs.literals["how"].scalar.primitive.string_value
        if how == "crash":
            os._exit(3)
        if how == "refuse":
            raise ValueError("the job cannot be made")
        key = more["task_execution_metadata"].labels["airscrew.dev/key"]
        path = Path(os.environ["FILE_JOBS"]) / f"{key}.{time.time_ns()}.json"
        path.write_text(json.dumps({"how": how, "made": time.time(), "key": key, "prefix": output_prefix}))
        if how == "slow create":
            time.sleep(30)
        return FileJob(path=str(path))

    async def get(self, resource_meta: FileJob, **_: Any) -> Resource:
        job = _read(resource_meta)
        links = [TaskLog(name="Console", uri=f"https://jobs.example/{job['key']}")]
        if job.get("deleted"):
            return Resource(phase=TaskExecution.ABORTED, message="deleted")
        if job["how"] == "no phase":
            return Resource(phase=TaskExecution.UNDEFINED)
        if job["how"] == "endless" or time.time() < job["made"] + 0.5:
            return Resource(phase=TaskExecution.RUNNING, message="at work", log_links=links)
        if job["how"] == "fail":
            return Resource(phase=TaskExecution.FAILED, message="the user's fault", log_links=links)
        if job["how"] == "retry":
            return Resource(phase=TaskExecution.RETRYABLE_FAILED, message="capacity was taken away")
        size = 20_000_000 if job["how"] == "huge" else 3
        return Resource(
            phase=TaskExecution.SUCCEEDED,
            log_links=links,
            outputs={"answer": "a" * size},
            custom_info={"made": job["made"]},
        )

    def delete(self, resource_meta: FileJob, **_: Any) -> None:
        _write(resource_meta, {**_read(resource_meta), "deleted": True})

    def get_metrics(self, resource_meta: FileJob, **_: Any) -> Any:
        measured = ExecutionMetricResult(metric="cpu")
        measured.data.update({"values": [0.5, 1.5]})
        return GetTaskMetricsResponse(results=[measured])

    def get_logs(self, resource_meta: FileJob, **_: Any) -> Any:
        return GetTaskLogsResponse(body=GetTaskLogsResponseBody(results=["one line", "another"]))


class UpperConnector(SyncConnectorBase):
    name = "Upper Connector"

    def __init__(self) -> None:
        super().__init__(task_type_name="upper")

    def do(self, task_template: Any, output_prefix: str, inputs: Any = None, **_: Any) -> Resource:
        how = inputs.literals["how"].scalar.primitive.string_value
        if how == "refuse":
            raise ValueError("not this one")
        if how == "unfinished":
            return Resource(phase=TaskExecution.RUNNING)
        return Resource(phase=TaskExecution.SUCCEEDED, outputs={"answer": how.upper()})


ConnectorRegistry.register(FileConnector())
ConnectorRegistry.register(FileConnector(version=2))
ConnectorRegistry.register(UpperConnector())
