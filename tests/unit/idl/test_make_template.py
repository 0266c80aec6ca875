"""
What a template is built of comes out again.
"""

from __future__ import annotations

import pytest
from flyteidl.core.types_pb2 import LiteralType
from flyteidl.plugins.kubeflow.pytorch_pb2 import DistributedPyTorchTrainingTask

from airscrew.idl.errors import UsageError
from airscrew.idl.literals import type_name
from airscrew.idl.struct_fields import decode_custom
from airscrew.idl.template import (
    Accelerator,
    Container,
    ContainerPort,
    DataConfig,
    ExtendedResources,
    K8sPod,
    Resources,
    RunAs,
    SecretRef,
    SecurityContext,
    SharedMemory,
    Sql,
    TargetKind,
    TaskId,
    TaskMetadata,
    load_one,
    make_template,
)

CONTAINER = Container(
    image="python:3.12",
    command=("python",),
    args=("-c", "print({{.inputs.x}})"),
    env={"Z": "1", "A": "2"},
    resources=Resources(requests={"cpu": "1", "ephemeral-storage": "1Gi"}, limits={"gpu": "1"}),
    ports=(ContainerPort(port=8080, name="http"),),
    data_config=DataConfig(enabled=True, input_path="/in", format="PROTO", upload_mode="DO_NOT_UPLOAD"),
    architecture="ARM64",
    config={"k": "v"},
)
POD = K8sPod(
    labels={"a": "b"},
    annotations={"c": "d"},
    pod_spec={"containers": [{"name": "main", "ports": [{"containerPort": 80}]}], "hostNetwork": False},
    data_config=DataConfig(),
    primary_container_name="main",
)
METADATA = TaskMetadata(
    retries=2,
    timeout_seconds=1.5,
    interruptible=False,
    discoverable=True,
    discovery_version="3",
    cache_serializable=True,
    cache_ignore_input_vars=("a", "b"),
    pod_template_name="p",
    generates_deck=False,
    is_eager=True,
    deprecated="use another",
    tags={"t": "1"},
    labels={"l": "1"},
    annotations={"a": "1"},
    runtime_version="1.16.0",
    runtime_flavor="python",
)


def test_the_least_template_has_a_type_and_a_name():
    template = make_template("echo")

    assert (template.type, template.name, template.version) == ("echo", "task", 0)
    assert (template.target, template.custom, template.config) == (TargetKind.NONE, {}, {})
    assert template.metadata == TaskMetadata()


@pytest.mark.parametrize("target", [CONTAINER, POD, Sql(statement="SELECT 1", dialect="HIVE"), Sql(), Container()])
def test_the_target_comes_out_as_it_went_in(target):
    template = make_template("t", target=target)

    assert [part for part in (template.container, template.k8s_pod, template.sql) if part is not None] == [target]


def test_metadata_comes_out_as_it_went_in():
    assert make_template("t", metadata=METADATA).metadata == METADATA


def test_identity_and_type_version_come_out_as_they_went_in():
    identity = TaskId(project="p", domain="d", name="n", version="v", org="o")

    template = make_template("t", task_id=identity, type_version=3, config={"b": "1", "a": "2"})

    assert (template.id, template.version, template.config) == (identity, 3, {"a": "2", "b": "1"})


def test_identity_and_secrets_come_out_as_they_went_in():
    context = SecurityContext(
        run_as=RunAs(iam_role="r", k8s_service_account="s", execution_identity="e"),
        secrets=(SecretRef(group="g", key="k", version="1", mount_requirement="FILE", env_var="E"),),
    )

    assert make_template("t", security_context=context).security_context == context


@pytest.mark.parametrize(
    "accelerator",
    [None, Accelerator(device="a"), Accelerator(device="a", partition_size="1g"), Accelerator(unpartitioned=True)],
)
def test_extended_resources_come_out_as_they_went_in(accelerator):
    wanted = ExtendedResources(accelerator=accelerator, shared_memory=SharedMemory(mount_path="/dev/shm"))

    assert make_template("t", extended_resources=wanted).extended_resources == wanted


def test_inputs_and_outputs_are_python_types_or_literal_types():
    template = make_template("t", inputs={"x": int, "y": list[str]}, outputs={"o": LiteralType(simple=2)})

    assert {name: type_name(v.type) for name, v in template.interface.inputs.items()} == {"x": "int", "y": "list[str]"}
    assert {name: type_name(v.type) for name, v in template.interface.outputs.items()} == {"o": "float"}


def test_custom_is_given_as_json_or_as_a_message():
    message = DistributedPyTorchTrainingTask()
    message.worker_replicas.replicas = 2

    template = make_template("pytorch", custom=message)

    assert template.custom == {"workerReplicas": {"replicas": 2.0}}
    assert template == make_template("pytorch", custom={"workerReplicas": {"replicas": 2}})
    assert decode_custom(template.custom, DistributedPyTorchTrainingTask) == message


def test_what_is_built_can_be_loaded():
    template = make_template("t", target=CONTAINER, metadata=METADATA, inputs={"x": int})

    assert load_one(template.raw) == template


def test_a_type_that_flyte_does_not_have_is_refused():
    with pytest.raises(TypeError, match="there is no literal type for"):
        make_template("t", inputs={"x": complex})


def test_a_template_over_the_limit_cannot_be_built():
    with pytest.raises(UsageError, match="the limit is 900,000"):
        make_template("t", config={"x": "y" * 900_000})
