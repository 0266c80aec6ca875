"""
The same for Flyte 2's SDK: a job is a file in the folder ``FILE_JOBS``.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte.connectors import AsyncConnector, ConnectorRegistry, Resource, ResourceMeta
from flyteidl2.connector.connector_pb2 import GetTaskLogsResponse, GetTaskLogsResponseBody, GetTaskMetricsResponse
from flyteidl2.core.execution_pb2 import TaskExecution
from flyteidl2.core.metrics_pb2 import ExecutionMetricResult


@dataclass
class FileJob(ResourceMeta):
    path: str


def _read(job: FileJob) -> dict[str, Any]:
    return dict(json.loads(Path(job.path).read_text()))


def _write(job: FileJob, told: dict[str, Any]) -> None:
    Path(job.path).write_text(json.dumps(told))


class FileConnector(AsyncConnector):
    name = "File Connector 2"
    task_type_name = "file_job"
    metadata_type = FileJob

    async def create(self, task_template: Any, output_prefix: str, inputs: Any = None, **more: Any) -> FileJob:
        key = more["task_execution_metadata"].labels["airscrew.dev/key"]
        path = Path(os.environ["FILE_JOBS"]) / f"{key}.{time.time_ns()}.json"
        made = {"how": inputs["how"], "made": time.time(), "key": key, "token": more.get("token", "")}
        path.write_text(json.dumps(made))
        return FileJob(path=str(path))

    async def get(self, resource_meta: FileJob, **_: Any) -> Resource:
        job = _read(resource_meta)
        if job.get("deleted"):
            return Resource(phase=TaskExecution.ABORTED, message="deleted")
        if job["how"] == "endless" or time.time() < job["made"] + 0.5:
            return Resource(phase=TaskExecution.RUNNING, message="at work")
        if job["how"] == "fail":
            return Resource(phase=TaskExecution.FAILED, message="the user's fault")
        return Resource(phase=TaskExecution.SUCCEEDED, outputs={"answer": "aaa"})

    async def delete(self, resource_meta: FileJob, **_: Any) -> None:
        _write(resource_meta, {**_read(resource_meta), "deleted": True})

    async def get_metrics(self, resource_meta: FileJob, **_: Any) -> Any:
        measured = ExecutionMetricResult(metric="cpu")
        measured.data.update({"values": [0.5, 1.5]})
        return GetTaskMetricsResponse(results=[measured])

    async def get_logs(self, resource_meta: FileJob, **_: Any) -> Any:
        return GetTaskLogsResponse(body=GetTaskLogsResponseBody(results=["one line", "another"]))


ConnectorRegistry.register(FileConnector())
