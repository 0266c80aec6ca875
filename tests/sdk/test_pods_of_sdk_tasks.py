"""Pods of tasks that the real SDKs have serialized."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import harness
import pytest
from tests.support.pods import LOCATIONS, Row, at, own, pod_template, table

from airscrew.engine.data.render import render, variable_values
from airscrew.idl.template import TaskTemplate, load_one
from airscrew.plugins.kubernetes.loader.job import decode_job
from airscrew.plugins.kubernetes.pod.source import source_pod

DATA = Path(__file__).parents[1] / "data" / "templates"
LOADER = {"loader": {"image": "airscrew:1"}}
TERMS = (
    "spec > affinity > nodeAffinity > requiredDuringSchedulingIgnoredDuringExecution > nodeSelectorTerms > 0"
    " > matchExpressions"
)
GPU = "nvidia.com/gpu"
FAST = {"remote_package_path": "s3://b/fast.tar.gz", "dest_dir": "."}
INPUTS = {"a": "1", "b": "2"}


def flytekit(name: str) -> TaskTemplate:
    return load_one(harness.serialize(getattr(harness.load("flows.pods"), name)))


def reference(name: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


ROWS = [
    Row(
        name="pod_template",
        template=flytekit("with_template"),
        expect={
            own("image"): harness.IMAGE,
            own("args > 0"): "pyflyte-execute",
            own("env > MODE > value"): "fast",
            own(f"resources > limits > {GPU}"): "1",
            own("resources > requests > cpu"): "2",
            own("resources > limits > memory"): "4Gi",
            "spec > containers > proxy > image": "example.invalid/proxy:1",
            "spec > containers > proxy > resources": None,
            "spec > nodeSelector": {"disk": "ssd"},
            "spec > tolerations": [{"key": "dedicated", "operator": "Exists"}],
            own("volumeMounts > /scratch > name"): "scratch",
            "metadata > labels > team": "a",
            "metadata > annotations > note": "n",
            "metadata > annotations > primary_container_name": "primary",
        },
    ),
    Row(
        name="pod_template_name without the PodTemplate",
        template=flytekit("with_named_template"),
        code="PodTemplateNotFound",
        says="'gpu-base'",
    ),
    Row(
        name="pod_template_name",
        template=flytekit("with_named_template"),
        base=pod_template(runtimeClassName="nvidia"),
        expect={"spec > runtimeClassName": "nvidia", own("image"): harness.IMAGE},
    ),
    Row(
        name="Resources",
        template=flytekit("with_resources"),
        expect={
            own("resources"): {
                "requests": {"cpu": "500m", "memory": "200Mi", "ephemeral-storage": "1Gi"},
                "limits": {"cpu": "1", "memory": "400Mi", "ephemeral-storage": "1Gi"},
            }
        },
    ),
    Row(
        name="Secret",
        template=flytekit("with_secrets"),
        config={"secrets": {"names": {"Grp": "grp"}}},
        expect={
            own("env > _FSEC_GRP_ANY"): reference("_FSEC_GRP_ANY", "grp", "any"),
            own("env > TOKEN"): reference("TOKEN", "grp", "env"),
            own("env > _FSEC_GRP_ENV"): reference("_FSEC_GRP_ENV", "grp", "env"),
            "spec > volumes > airscrew-secrets > projected > sources": [
                {"secret": {"name": "grp", "items": [{"key": "File", "path": "grp/file"}]}}
            ],
        },
    ),
    Row(
        name="accelerator, shared_memory and interruptible",
        template=flytekit("with_accelerator"),
        expect={
            TERMS: [{"key": "k8s.amazonaws.com/accelerator", "operator": "In", "values": ["nvidia-tesla-t4"]}],
            own(f"resources > limits > {GPU}"): "1",
            own("volumeMounts > /dev/shm > name"): "flyte-shared-memory",
            "spec > volumes > flyte-shared-memory > emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"},
        },
    ),
    Row(
        name="a partition",
        template=flytekit("with_partition"),
        expect={f"{TERMS} > 1 > values": ["1g.5gb"], "spec > tolerations > 1 > value": "1g.5gb"},
    ),
    Row(
        name="a whole device",
        template=flytekit("with_whole_device"),
        expect={f"{TERMS} > 1 > operator": "DoesNotExist", "spec > tolerations > 1": None},
    ),
    Row(
        name="ContainerTask",
        template=flytekit("raw"),
        config=LOADER,
        expect={
            "spec > initContainers > 1 > name": "airscrew-upload",
            own("command"): ["sh", "-c", "cp /var/inputs/a /var/outputs/b"],
            own("volumeMounts > /var/inputs > name"): "airscrew-inputs",
        },
    ),
    Row(
        name="ContainerTask with a pod_template",
        template=flytekit("raw_with_template"),
        config=LOADER,
        expect={
            own("volumeMounts > /var/outputs > name"): "airscrew-outputs",
            own("volumeMounts > /scratch > name"): "scratch",
            "spec > containers > proxy > volumeMounts": None,
        },
    ),
]


@table(ROWS)
def test_tasks_of_flytekit(row: Row) -> None:
    row.check()


def test_a_raw_container_of_flytekit_says_what_its_loader_has_to_do() -> None:
    manifest = Row(name="raw", template=flytekit("raw"), config=LOADER).build().manifest

    job = decode_job(at(manifest, "spec > initContainers > airscrew-download > env")[-1]["value"])

    assert (job.input_path, job.output_path, job.form) == ("/var/inputs", "/var/outputs", "YAML")
    assert list(job.outputs) == ["b"]


# Fixtures that were serialized by both SDKs, and the code of the error that is theirs without more configuration.
KEPT = {
    "v1/basic.raw": "LoaderNotConfigured",
    "v1/basic.raw_pod": "LoaderNotConfigured",
    "v2/raw": "LoaderNotConfigured",
    "v1/basic.pod_tmpl_name": "PodTemplateNotFound",
}
RUNNABLE = [
    f"{folder.name}/{path.stem}"
    for folder in sorted(DATA.iterdir())
    for path in sorted(folder.glob("*.pb"))
    if not path.stem.startswith("basic.wf")
]


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_template_of_the_sdks_with_something_to_run_has_a_pod(name: str) -> None:
    template = load_one((DATA / f"{name}.pb").read_bytes())
    if template.container is None and template.k8s_pod is None:
        Row(name=name, template=template, code="BadTaskSpecification", says="there is nothing to run").check()
        return
    source = source_pod(template)
    values = variable_values(LOCATIONS, key="akey", namespace="team", overrides=FAST)
    rendered = source.with_texts(render(source.texts(), values, INPUTS))

    assert not [text for text in rendered.texts() if "{{" in text]
    code = KEPT.get(name.replace("fast/", "v1/"), "")
    Row(name=name, template=template, code=code).check()
    manifest = Row(name=name, template=template, config=LOADER, base=pod_template()).build().manifest
    main = at(manifest, f"spec > containers > {source.primary}")
    assert main["image"]
    assert GPU not in main["resources"]["limits"] or "gpu" not in main["resources"]["limits"]
