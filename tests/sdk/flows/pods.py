"""Tasks that say how they want to run on a cluster."""

from __future__ import annotations

from flytekit import ContainerTask, PodTemplate, Resources, Secret, kwtypes, task
from flytekit.extras.accelerators import A100, T4
from kubernetes.client import (
    V1Container,
    V1EmptyDirVolumeSource,
    V1EnvVar,
    V1PodSpec,
    V1Toleration,
    V1Volume,
    V1VolumeMount,
)

TEMPLATE = PodTemplate(
    primary_container_name="primary",
    labels={"team": "a"},
    annotations={"note": "n"},
    pod_spec=V1PodSpec(
        containers=[
            V1Container(
                name="primary",
                env=[V1EnvVar(name="MODE", value="fast")],
                volume_mounts=[V1VolumeMount(name="scratch", mount_path="/scratch")],
            ),
            V1Container(name="proxy", image="example.invalid/proxy:1"),
        ],
        node_selector={"disk": "ssd"},
        tolerations=[V1Toleration(key="dedicated", operator="Exists")],
        volumes=[V1Volume(name="scratch", empty_dir=V1EmptyDirVolumeSource())],
    ),
)


@task(pod_template=TEMPLATE, requests=Resources(cpu="2", gpu="1"), limits=Resources(mem="4Gi"))
def with_template(x: int) -> int:
    return x


@task(pod_template_name="gpu-base")
def with_named_template() -> None: ...


@task(requests=Resources(cpu="500m", mem="200Mi", ephemeral_storage="1Gi"), limits=Resources(cpu="1", mem="400Mi"))
def with_resources() -> None: ...


@task(
    secret_requests=[
        Secret(group="grp", key="any"),
        Secret(group="grp", key="env", mount_requirement=Secret.MountType.ENV_VAR, env_var="TOKEN"),
        Secret(group="Grp", key="File", mount_requirement=Secret.MountType.FILE),
    ]
)
def with_secrets() -> None: ...


@task(requests=Resources(gpu="1"), accelerator=T4, shared_memory="2Gi", interruptible=True)
def with_accelerator() -> None: ...


@task(requests=Resources(gpu="1"), accelerator=A100.partition_1g_5gb)
def with_partition() -> None: ...


@task(requests=Resources(gpu="1"), accelerator=A100.unpartitioned)
def with_whole_device() -> None: ...


raw = ContainerTask(
    name="flows.pods.raw",
    image="busybox:1.36",
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
    metadata_format=ContainerTask.MetadataFormat.YAML,
    inputs=kwtypes(a=int),
    outputs=kwtypes(b=int),
    command=["sh", "-c", "cp /var/inputs/a /var/outputs/b"],
)

raw_with_template = ContainerTask(
    name="flows.pods.raw_with_template",
    image="busybox:1.36",
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
    inputs=kwtypes(a=int),
    outputs=kwtypes(b=int),
    command=["cp", "/var/inputs/a", "/var/outputs/b"],
    pod_template=TEMPLATE,
)
