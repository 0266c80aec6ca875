"""The connector that seed 003's ``BatchJobTask`` needs, which the document leaves to the reader."""

import time
from dataclasses import dataclass

from flyte.connectors import AsyncConnector, ConnectorRegistry, Resource, ResourceMeta
from flyteidl2.core.execution_pb2 import TaskExecution


@dataclass
class BatchJob(ResourceMeta):
    x: int
    ends_at: float
    timeout_seconds: float


class BatchJobConnector(AsyncConnector):
    name = "Batch Job Connector"
    task_type_name = "batch_job"
    metadata_type = BatchJob

    async def create(self, task_template, output_prefix, inputs=None, **_):
        timeout = dict(task_template.custom)["timeout_seconds"]
        return BatchJob(x=inputs["x"], ends_at=time.time() + 0.3, timeout_seconds=timeout)

    async def get(self, resource_meta, **_):
        if time.time() < resource_meta.ends_at:
            return Resource(phase=TaskExecution.RUNNING, message="at work")
        outputs = {"y": resource_meta.x * 2, "limit": resource_meta.timeout_seconds}
        return Resource(phase=TaskExecution.SUCCEEDED, outputs=outputs)

    async def delete(self, resource_meta, **_):
        pass  # a batch is over by itself


ConnectorRegistry.register(BatchJobConnector())
