"""
All the templates of the real SDKs load, in every encoding, and say what their authors said.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from airscrew.idl.template import (
    Accelerator,
    DataConfig,
    SecretRef,
    SharedMemory,
    TargetKind,
    TaskId,
    decode_template,
    load_one,
    load_templates,
)
from airscrew.idl.wire import WireForm

TEMPLATES = Path(__file__).parents[2] / "data" / "templates"
FILES = [path.relative_to(TEMPLATES).as_posix()[:-3] for path in sorted(TEMPLATES.rglob("*.pb"))]
WORKFLOWS = [name for name in FILES if "basic.wf" in name]
TASKS = [name for name in FILES if name not in WORKFLOWS]


def test_the_templates_are_all_here():
    assert (len(FILES), len(WORKFLOWS)) == (115, 6)


@pytest.mark.parametrize("name", TASKS)
def test_a_template_is_the_same_from_binary_and_from_json(name, template_bytes):
    binary, text = template_bytes(f"{name}.pb"), template_bytes(f"{name}.json")

    loaded = [load_one(binary), load_one(binary, "a.pb"), load_one(text), load_one(text, "a.json")]

    assert loaded == [loaded[0]] * 4
    assert loaded[0].wire is (WireForm.FLYTE2 if name.startswith("v2/") else WireForm.FLYTE1)


@pytest.mark.parametrize("name", TASKS)
def test_every_part_of_a_template_can_be_read(name, sdk_template):
    template = sdk_template(name)

    assert template.type
    assert template.id.project in {"flytesnacks", "proj", "p"}
    assert template.metadata.runtime_version in {"1.16.31", "2.12.1"}
    assert sum(part is not None for part in (template.container, template.k8s_pod, template.sql)) == (
        template.target is not TargetKind.NONE
    )
    assert msgspec.json.encode([template.custom, template.config, template.security_context])


@pytest.mark.parametrize("name", TASKS)
def test_the_bytes_of_a_template_decode_into_itself(name, sdk_template):
    template = sdk_template(name)

    assert decode_template(template.raw, template.wire) == template


@pytest.mark.parametrize("name", WORKFLOWS)
@pytest.mark.parametrize("ending", ["pb", "json"])
def test_a_workflow_is_skipped_with_the_reason(name, ending, template_bytes):
    loaded = load_templates(template_bytes(f"{name}.{ending}"), f"wf.{ending}")

    assert loaded.templates == ()
    assert loaded.skipped[0].source == f"wf.{ending}"
    assert "is the workflow 'flows.basic.wf" in loaded.skipped[0].reason


def test_the_identity_of_a_task(sdk_template):
    assert sdk_template("v2/full").id == TaskId(
        org="org", project="proj", domain="development", name="basic_env.full", version="v1"
    )


def test_the_options_of_a_flytekit_task(sdk_template):
    template = sdk_template("v1/basic.full_options")

    assert (template.metadata.retries, template.metadata.timeout_seconds) == (3, 300.0)
    assert (template.metadata.interruptible, template.metadata.generates_deck) == (True, False)
    assert (template.metadata.discoverable, template.metadata.discovery_version) == (True, "1.0")
    assert (template.metadata.labels, template.metadata.annotations) == ({"team": "a"}, {"n": "v"})
    assert template.security_context.secrets == (SecretRef(group="grp", key="k1"),)
    assert template.extended_resources.accelerator == Accelerator(device="nvidia-tesla-t4")
    assert template.extended_resources.shared_memory == SharedMemory(
        mount_name="flyte-shared-memory", mount_path="/dev/shm"
    )


def test_what_an_author_did_not_say_is_none(sdk_template):
    metadata = sdk_template("v1/basic.add").metadata

    assert (metadata.timeout_seconds, metadata.interruptible, metadata.backoff) == (None, None, None)


def test_the_container_of_a_flytekit_task(sdk_template):
    container = sdk_template("v1/basic.full_options").container

    assert container.image == "example.org/img:1"
    assert container.args[:3] == ("pyflyte-execute", "--inputs", "{{.input}}")
    assert container.env == {"GLOBAL_ENV": "1", "FOO": "bar"}
    assert container.resources.requests == {"cpu": "500m", "memory": "200Mi"}
    assert container.resources.limits == {"cpu": "1", "memory": "400Mi"}


def test_the_options_of_a_flyte_2_task(sdk_template):
    template = sdk_template("v2/full")

    assert (template.metadata.retries, template.metadata.timeout_seconds) == (3, 60.0)
    assert (template.metadata.interruptible, template.metadata.debuggable) == (False, True)
    assert template.metadata.code_bundle_uri == "s3://bkt/code/fast.tar.gz"
    assert template.security_context.secrets == (SecretRef(key="k1", env_var="K1", mount_requirement="ENV_VAR"),)
    assert template.container.resources.requests == {"cpu": "500m", "memory": "512Mi", "gpu": "1"}


def test_a_raw_container_has_its_data_config(sdk_template):
    config = sdk_template("v1/basic.raw").container.data_config

    assert config == DataConfig(enabled=True, input_path="/var/inputs", output_path="/var/outputs")


def test_a_pod_is_plain_json_with_whole_numbers_as_ints(sdk_template):
    pod = sdk_template("v1/plugins.pytorch_dist").k8s_pod

    assert pod.primary_container_name == "" or pod.primary_container_name
    assert [container["name"] for container in pod.pod_spec["containers"]] == ["primary"]
    assert ".0" not in msgspec.json.encode(pod.pod_spec).decode().replace("1.0.0", "")


def test_a_pod_has_its_labels_and_its_data_config(sdk_template):
    pod = sdk_template("v1/basic.raw_pod").k8s_pod

    assert (pod.labels, pod.annotations) == ({"lab": "a"}, {"ann": "b"})
    assert pod.data_config.enabled


def test_a_statement_for_a_warehouse(sdk_template):
    template = sdk_template("v1/plugins.sf")

    assert template.sql.statement == "SELECT * FROM t WHERE v > {{ .Inputs.v }};"
    assert template.config["warehouse"] == "WH"


def test_the_numbers_of_custom_stay_doubles(sdk_template):
    custom = sdk_template("v1/plugins.pytorch_dist").custom

    assert type(custom["workerReplicas"]["replicas"]) is float


def test_the_inputs_of_flyte_2_keep_the_order_of_the_wire(sdk_template):
    template = sdk_template("v2/full")

    on_the_wire = [entry.key for entry in template.own_message.interface.inputs.variables]
    assert list(template.interface.inputs) == on_the_wire


def test_the_inputs_of_flytekit_come_by_name_with_their_descriptions(sdk_template):
    inputs = sdk_template("v1/basic.rich_io").interface.inputs

    assert [(name, variable.description) for name, variable in inputs.items()] == [("c", "c"), ("d", "d"), ("f", "f")]


def test_a_template_is_shown_as_the_sdk_writes_it(sdk_template, template_bytes):
    shown = sdk_template("v1/basic.rich_io").to_json()

    assert shown == msgspec.json.decode(template_bytes("v1/basic.rich_io.json"))


def test_a_template_says_briefly_what_it_is(sdk_template):
    assert repr(sdk_template("v1/basic.raw")) == "<TaskTemplate 'raw_sum' of type 'raw-container', flyte1, 307 bytes>"
