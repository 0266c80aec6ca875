from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import msgspec
import pytest
from flyteidl.core.tasks_pb2 import TaskTemplate as Message1
from flyteidl.plugins.dask_pb2 import DaskJob
from flyteidl.plugins.kubeflow.mpi_pb2 import DistributedMPITrainingTask
from flyteidl.plugins.kubeflow.pytorch_pb2 import DistributedPyTorchTrainingTask
from flyteidl.plugins.kubeflow.tensorflow_pb2 import DistributedTensorflowTrainingTask
from flyteidl.plugins.presto_pb2 import PrestoQuery
from flyteidl.plugins.qubole_pb2 import QuboleHiveJob
from flyteidl.plugins.ray_pb2 import RayJob
from flyteidl.plugins.spark_pb2 import SparkJob
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from airscrew.idl.struct_fields import CustomFieldError, decode_custom, json_to_struct, struct_to_json

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


class Policy(Enum):
    NEVER = "RESTART_POLICY_NEVER"
    ALWAYS = "RESTART_POLICY_ALWAYS"


class Replicas(msgspec.Struct, frozen=True):
    replicas: int = 0
    restart_policy: Policy = Policy.NEVER


@dataclass(frozen=True)
class Training:
    worker_replicas: Replicas = field(default_factory=Replicas)
    learning_rate: float = 0.0
    ProjectID: str = ""
    env: dict[str, int] = field(default_factory=dict)
    groups: list[Replicas] = field(default_factory=list)
    master: Replicas | None = None
    limit: int | None = None


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_json_survives_a_struct(value):
    assert struct_to_json(json_to_struct(value)) == value


def test_numbers_stay_doubles_unless_whole_ones_are_wanted_as_ints():
    struct = json_to_struct({"whole": 2, "part": 2.5, "inside": [{"x": 1}]})

    assert [type(struct_to_json(struct)[key]) for key in ("whole", "part")] == [float, float]
    assert struct_to_json(struct, whole_as_int=True) == {"inside": [{"x": 1}], "part": 2.5, "whole": 2}
    assert type(struct_to_json(struct, whole_as_int=True)["whole"]) is int


def test_the_keys_of_a_struct_come_in_order():
    struct = Struct()
    struct.update({"b": 1, "a": {"z": 1, "y": 2}})

    decoded = struct_to_json(struct)
    assert (list(decoded), list(decoded["a"])) == (["a", "b"], ["y", "z"])


def test_a_value_without_a_kind_is_none():
    struct = Struct()
    struct.fields["x"].SetInParent()

    assert struct_to_json(struct) == {"x": None}


@pytest.mark.parametrize(
    ("name", "message_type"),
    [
        ("v1/plugins.spark_pi", SparkJob),
        ("v1/plugins.ray_sq", RayJob),
        ("v1/plugins.dask_sum", DaskJob),
        ("v1/plugins.pytorch_dist", DistributedPyTorchTrainingTask),
        ("v1/plugins.pytorch_elastic", DistributedPyTorchTrainingTask),
        ("v1/plugins.mpi_train", DistributedMPITrainingTask),
        ("v1/plugins.horovod_train", DistributedMPITrainingTask),
        ("v1/plugins.tf_train", DistributedTensorflowTrainingTask),
        ("v1/plugins.athena", PrestoQuery),
        ("v1/plugins.hive", QuboleHiveJob),
    ],
)
def test_what_the_sdk_wrote_is_read_into_the_message_of_its_plugin(name, message_type, sdk_template):
    custom = sdk_template(name).custom

    message = decode_custom(custom, message_type)

    assert MessageToDict(message) == custom


def test_fields_that_the_message_does_not_have_are_skipped_on_request(sdk_template):
    custom = {**sdk_template("v1/plugins.databricks_pi").custom, "notebookPath": "/a"}

    with pytest.raises(CustomFieldError, match="there is no such field"):
        decode_custom(custom, SparkJob)

    assert decode_custom(custom, SparkJob, ignore_unknown=True).mainApplicationFile


@pytest.mark.parametrize(
    ("custom", "field_path", "problem"),
    [
        ({"nope": 1}, "nope", "there is no such field"),
        ({"workerReplicas": {"nope": 1}}, "workerReplicas.nope", "there is no such field"),
        ({"workerReplicas": {"replicas": 2.5}}, "workerReplicas.replicas", "Couldn't parse integer: 2.5"),
        ({"workerReplicas": {"restartPolicy": "X"}}, "workerReplicas.restartPolicy", "Invalid enum value X"),
        ({"elasticConfig": {"rdzvBackend": 3.0}}, "elasticConfig.rdzvBackend", "expected string"),
        ({"workerReplicas": 3.0}, "workerReplicas", "not iterable"),
    ],
)
def test_a_mistake_in_a_protobuf_message_names_field_and_message(custom, field_path, problem):
    with pytest.raises(CustomFieldError, match=problem) as caught:
        decode_custom(custom, DistributedPyTorchTrainingTask)

    assert caught.value.field == field_path
    assert caught.value.message_name == "flyteidl.plugins.kubeflow.DistributedPyTorchTrainingTask"
    assert f"DistributedPyTorchTrainingTask.{field_path}: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_rules_of_the_sdks_are_read_into_a_dataclass():
    custom = {
        "workerReplicas": {"replicas": 2.0, "restartPolicy": "RESTART_POLICY_ALWAYS"},
        "learningRate": 1.0,
        "projectId": "p",
        "env": {"SNAKE_case": 3.0},
        "groups": [{"replicas": 1.0}],
        "master": {"replicas": 4.0},
        "limit": 5.0,
    }

    training = decode_custom(custom, Training)

    assert training == Training(
        worker_replicas=Replicas(2, Policy.ALWAYS),
        learning_rate=1.0,
        ProjectID="p",
        env={"SNAKE_case": 3},
        groups=[Replicas(1)],
        master=Replicas(4),
        limit=5,
    )
    assert type(training.learning_rate) is float


@pytest.mark.parametrize("key", ["worker_replicas", "workerReplicas", "WorkerReplicas", "worker-replicas"])
def test_a_field_is_found_in_every_spelling(key):
    assert decode_custom({key: {"replicas": 1.0}}, Training).worker_replicas == Replicas(1)


def test_zero_values_that_the_sdk_leaves_out_are_the_defaults():
    assert decode_custom({}, Training) == Training()


def test_a_field_with_a_wire_name_of_its_own_is_found_by_it():
    class Renamed(msgspec.Struct, rename={"path": "file_path"}):
        path: str

    assert decode_custom({"filePath": "x"}, Renamed).path == "x"


@pytest.mark.parametrize(
    ("custom", "field_path", "problem"),
    [
        ({"nope": 1.0}, "nope", "there is no such field"),
        ({"workerReplicas": {"nope": 1.0}}, "workerReplicas.nope", "there is no such field"),
        ({"groups": [{}, {"nope": 1.0}]}, "groups[1].nope", "there is no such field"),
        ({"workerReplicas": {"replicas": 2.5}}, "worker_replicas.replicas", "Expected `int`, got `float`"),
        ({"workerReplicas": {"restartPolicy": "X"}}, "worker_replicas.restart_policy", "Invalid enum value 'X'"),
        ({"workerReplicas": 3.0}, "worker_replicas", "Expected `object`, got `float`"),
        ({"master": [1.0]}, "master", "Expected"),
    ],
)
def test_a_mistake_in_a_dataclass_names_field_and_class(custom, field_path, problem):
    with pytest.raises(CustomFieldError, match=problem) as caught:
        decode_custom(custom, Training)

    assert (caught.value.message_name, caught.value.field) == ("Training", field_path)


def test_unknown_fields_of_a_dataclass_are_skipped_on_request():
    assert decode_custom({"nope": 1.0}, Training, ignore_unknown=True) == Training()


def test_a_field_that_must_be_given_is_named():
    class Needs(msgspec.Struct):
        cluster: str

    with pytest.raises(CustomFieldError, match=r"does not fit Needs: Object missing required field `cluster`"):
        decode_custom({}, Needs)


@pytest.mark.parametrize("wrong", [int, dict, Path])
def test_what_is_no_message_is_refused(wrong):
    with pytest.raises(TypeError, match=r"no protobuf message, msgspec.Struct or dataclass"):
        decode_custom({}, wrong)


def test_a_template_is_itself_a_message():
    assert decode_custom({"type": "x", "taskTypeVersion": 2.0}, Message1).task_type_version == 2
