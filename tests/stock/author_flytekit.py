"""
Writes the templates of tasks as flytekit and its plugins author them; run in the environment that has them.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

from flytekit import Resources, kwtypes, task
from flytekit.configuration import Image, ImageConfig, SerializationSettings
from flytekit.extras.webhook import WebhookTask
from flytekit.sensor.file_sensor import FileSensor
from flytekit.tools.translator import get_serializable
from flytekit.types.structured import StructuredDataset
from flytekitplugins.awssagemaker_inference import BotoConfig, BotoTask, SageMakerEndpointTask
from flytekitplugins.bigquery import BigQueryConfig, BigQueryTask
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
