"""A connector of flytekit's: naps for a while, then says its text in capitals."""

import time
from dataclasses import dataclass

from flyteidl.core.execution_pb2 import TaskExecution
from flytekit.extend.backend.base_connector import AsyncConnectorBase, ConnectorRegistry, Resource, ResourceMeta


@dataclass
class Nap(ResourceMeta):
    text: str
    until: float


class NapConnector(AsyncConnectorBase):
    name = "Nap Connector"

    def __init__(self):
        super().__init__(task_type_name="nap", metadata_type=Nap)

    async def create(self, task_template, inputs=None, **_):
        seconds = task_template.custom.get("seconds", 0.0)
        return Nap(inputs.literals["text"].scalar.primitive.string_value, time.time() + seconds)

    def get(self, resource_meta, **_):
        if time.time() < resource_meta.until:
            return Resource(phase=TaskExecution.RUNNING, message="napping")
        return Resource(phase=TaskExecution.SUCCEEDED, outputs={"said": resource_meta.text.upper()})

    def delete(self, resource_meta, **_):
        pass  # a nap is over by itself; a real one would be ended here


ConnectorRegistry.register(NapConnector())
