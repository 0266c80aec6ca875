"""
Writes the templates of tasks as flytekit and its plugins author them; run in the environment that has them.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from flytekit import Resources, kwtypes, task
from flytekit.configuration import Image, ImageConfig, SerializationSettings
from flytekit.core.base_task import PythonTask
from flytekit.core.interface import Interface
from flytekit.extend.backend.base_connector import AsyncConnectorExecutorMixin
from flytekit.extras.webhook import WebhookTask
from flytekit.sensor.file_sensor import FileSensor
from flytekit.tools.translator import get_serializable
from flytekit.types.structured import StructuredDataset
from flytekitplugins.awssagemaker_inference import BotoConfig, BotoTask, SageMakerEndpointTask
from flytekitplugins.bigquery import BigQueryConfig, BigQueryTask
from flytekitplugins.k8sdataservice.task import DataServiceConfig, DataServiceTask
from flytekitplugins.mmcloud import MMCloudConfig
from flytekitplugins.openai import BatchEndpointTask, ChatGPTTask
from flytekitplugins.perian_job import PerianConfig, PerianContainerTask
from flytekitplugins.slurm import SlurmFunctionConfig, SlurmScriptConfig, SlurmTask
from flytekitplugins.spark import DatabricksV2

SETTINGS = SerializationSettings(
    project="flytesnacks",
    domain="development",
    version="v1",
    image_config=ImageConfig(default_image=Image(name="default", fqn="example/image", tag="v1")),
)

CLUSTER = {"spark_version": "13.3.x-scala2.12", "node_type_id": "m5.xlarge", "num_workers": 2}


@task(task_config=DatabricksV2(databricks_conf={"run_name": "pi", "new_cluster": CLUSTER}))
def estimate_pi(n: int) -> None:
    """A task whose results are elsewhere."""


@task(task_config=SlurmFunctionConfig(ssh_config={"host": "cluster"}, script="#!/bin/sh\n# {task.fn}\nsleep 1\n"))
def work(n: int) -> None:
    """A function, of which nothing is run: what its connector does is what is asked."""


@task(task_config=MMCloudConfig(), requests=Resources(cpu="2", mem="4Gi"), environment={"KIND": "test"})
def float_away(n: int) -> None:
    """A function in a container of a cloud."""


@task(task_config=PerianConfig(cores=2, memory=4, country_code="de", provider="aws"), environment={"KIND": "test"})
def fly_off(n: int) -> None:
    """A function in a container of somebody's cloud."""


class DataService(AsyncConnectorExecutorMixin, PythonTask[DataServiceConfig]):
    """A data service as its connector takes it, and gives it back: flytekit's own class has other words for both."""

    def __init__(self, name: str, task_config: DataServiceConfig) -> None:
        outputs = kwtypes(data_service_name=str)
        super().__init__("dataservicetask", name, task_config=task_config, interface=Interface(outputs=outputs))

    def get_custom(self, settings: SerializationSettings) -> dict[str, Any]:
        """Leave out what is not set, the port above all, for which the connector has a number of its own."""
        return {name: value for name, value in asdict(self.task_config).items() if value is not None}


GRAPH = DataServiceConfig(Name="graph", Image="example/graph:v1", Command=["serve"], Replicas=2, Cluster="ours")


TASKS = {
    "perian": fly_off,
    "perian-container": PerianContainerTask(
        name="say",
        task_config=PerianConfig(accelerators=1, accelerator_type="A100", os_storage_size=60),
        image="an/image",
        command=["echo", "{{.inputs.words}}", "an end"],
        inputs=OrderedDict(words=str),
    ),
    "mmcloud": float_away,
    "slurm": SlurmTask(
        name="batch",
        task_config=SlurmScriptConfig(ssh_config={"host": "cluster"}, batch_script_path="/x", batch_script_args=["1"]),
    ),
    "slurm_fn": work,
    "data-service": DataService("serve_a_graph", GRAPH),
    "data-service-stock": DataServiceTask(name="serve_a_graph", task_config=replace(GRAPH, Port=40000)),
    "data-service-unset": DataServiceTask(name="serve_a_graph", task_config=GRAPH),
    "databricks": estimate_pi,
    "bigquery": BigQueryTask(
        name="find_words",
        query_template="SELECT word FROM words WHERE length = @length AND language = @language",
        task_config=BigQueryConfig(ProjectID="a-project", Location="EU"),
        inputs=kwtypes(length=int, language=str),
        output_structured_dataset_type=StructuredDataset,
    ),
    "sagemaker-endpoint": SageMakerEndpointTask(
        name="serve",
        config={"EndpointName": "{inputs.name}-{idempotence_token}", "EndpointConfigName": "a-config"},
        region="eu-west-1",
        inputs=kwtypes(name=str),
    ),
    "boto": BotoTask(
        name="make_a_model",
        task_config=BotoConfig(
            service="sagemaker",
            method="create_model",
            region="eu-west-1",
            images={"mine": "an/image:v1"},
            config={
                "ModelName": "{inputs.name}",
                "ExecutionRoleArn": "arn:aws:iam::123456789012:role/serving",
                "PrimaryContainer": {"Image": "{images.mine}"},
            },
        ),
        inputs=kwtypes(name=str),
    ),
    "sensor": FileSensor(name="wait_for_a_file"),
    "webhook": WebhookTask(
        name="call",
        url="{inputs.url}",
        data={"text": "{inputs.text}"},
        headers={"X-Kind": "test"},
        show_url=False,
        dynamic_inputs={"url": str, "text": str},
    ),
    "openai-batch": BatchEndpointTask(
        name="batch", openai_organization="org", config={"completion_window": "24h", "metadata": {"by": "us"}}
    ),
    "chatgpt": ChatGPTTask(
        name="ask", openai_organization="org", chatgpt_config={"model": "a-model", "temperature": 0.7}
    ),
}


def main(folder: Path) -> None:
    for name, entity in TASKS.items():
        template = get_serializable(OrderedDict(), SETTINGS, entity).template
        (folder / f"{name}.pb").write_bytes(template.to_flyte_idl().SerializeToString(deterministic=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
