"""The data loader in the Pod of a raw container, clause by clause."""

from __future__ import annotations

import json
from typing import Any

from tests.support.pods import IMAGE, Row, container, own, pod_template, table, task

from airscrew.idl.template import DataConfig, K8sPod
from airscrew.plugins.kubernetes.loader.job import VARIABLE, decode_job

LOADER = {"loader": {"image": "airscrew:1"}}
SECRET = {"loader": {"image": "airscrew:1", "env_from_secret": "storage-access"}}
DOWN, UP = "spec > initContainers > airscrew-download", "spec > initContainers > airscrew-upload"
BAD = "BadTaskSpecification"


def raw(paths: tuple[str, str] = ("/var/inputs", "/var/outputs"), **more: Any) -> Any:
    config = DataConfig(enabled=True, input_path=paths[0], output_path=paths[1], **more)
    return task(
        container(command=("sh",), data_config=config),
        task_type="raw-container",
        inputs={"a": int},
        outputs={"b": int},
    )


def raw_pod(**spec: Any) -> Any:
    config = DataConfig(enabled=True, input_path="/i", output_path="/o")
    pod = {"containers": [{"name": "primary", "image": IMAGE}, {"name": "side", "image": "s"}], **spec}
    return task(K8sPod(pod_spec=pod, data_config=config), task_type="raw-container")


ROWS = [
    Row(
        name="a downloader runs before all other containers, an uploader beside them until they are over",
        template=raw_pod(initContainers=[{"name": "own", "image": "x"}]),
        config=LOADER,
        expect={
            "spec > initContainers > 0 > name": "airscrew-download",
            "spec > initContainers > 1 > name": "airscrew-upload",
            "spec > initContainers > 2 > name": "own",
            f"{DOWN} > restartPolicy": None,
            f"{UP} > restartPolicy": "Always",
            f"{DOWN} > args": ["download"],
            f"{UP} > args": ["upload"],
            f"{UP} > command": ["python", "-m", "airscrew.plugins.kubernetes.loader"],
            f"{UP} > image": "airscrew:1",
        },
    ),
    Row(
        name="inputs and outputs are two volumes, in the task's own container alone",
        template=raw_pod(),
        config=LOADER,
        expect={
            "spec > volumes > airscrew-inputs": {"name": "airscrew-inputs", "emptyDir": {}},
            "spec > volumes > airscrew-outputs": {"name": "airscrew-outputs", "emptyDir": {}},
            own("volumeMounts > /i > name"): "airscrew-inputs",
            own("volumeMounts > /o > name"): "airscrew-outputs",
            "spec > containers > side > volumeMounts": None,
            f"{DOWN} > volumeMounts": [{"name": "airscrew-inputs", "mountPath": "/i"}],
            f"{UP} > volumeMounts": [{"name": "airscrew-outputs", "mountPath": "/o", "readOnly": True}],
        },
    ),
    Row(
        name="the task begins once its uploader hears of its end",
        template=raw(),
        config=LOADER,
        expect={f"{UP} > startupProbe > periodSeconds": 1, f"{DOWN} > startupProbe": None},
    ),
    Row(
        name="the uploader has the Pod's grace period",
        template=raw(),
        config={"loader": {"image": "airscrew:1", "upload_timeout": 77}},
        expect={"spec > terminationGracePeriodSeconds": 77},
    ),
    Row(
        name="a longer grace period of the task stands",
        template=raw_pod(terminationGracePeriodSeconds=100),
        config={"loader": {"image": "airscrew:1", "upload_timeout": 77}},
        expect={"spec > terminationGracePeriodSeconds": 100},
    ),
    Row(
        name="a template that wants no uploads has no uploader",
        template=raw(upload_mode="DO_NOT_UPLOAD"),
        config=LOADER,
        expect={UP: None, f"{DOWN} > args": ["download"]},
    ),
    Row(
        name="folders that the template does not name are the usual ones",
        template=raw(("", "")),
        config=LOADER,
        expect={own("volumeMounts > /var/inputs > name"): "airscrew-inputs"},
    ),
    Row(
        name="a data config that is not enabled is none",
        template=task(container(data_config=DataConfig(enabled=False, input_path="/i", output_path="/o"))),
        expect={"spec > initContainers": None, "spec > volumes": None},
    ),
    Row(
        name="access to the storage comes from a Secret that no container of the task sees",
        template=raw_pod(),
        config=SECRET,
        expect={
            f"{DOWN} > envFrom": [{"secretRef": {"name": "storage-access"}}],
            f"{UP} > envFrom": [{"secretRef": {"name": "storage-access"}}],
            own("envFrom"): None,
            "spec > containers > side > envFrom": None,
        },
    ),
    Row(
        name="a task that refers to that Secret is refused",
        template=raw_pod(volumes=[{"name": "v", "projected": {"sources": [{"secret": {"name": "storage-access"}}]}}]),
        config=SECRET,
        code="ForbiddenByPolicy",
        says="Secret 'storage-access' is the data loader's own",
    ),
    Row(
        name="a task that could look into the loader's processes is refused",
        template=raw_pod(shareProcessNamespace=True),
        config=SECRET,
        code=BAD,
        says="pod_spec.shareProcessNamespace",
    ),
    Row(
        name="without an image for it a raw container is refused, and told which key to set",
        template=raw(),
        code="LoaderNotConfigured",
        says="executors.pod.loader.image",
    ),
    Row(
        name="its names are its own",
        template=raw_pod(volumes=[{"name": "airscrew-inputs", "emptyDir": {}}]),
        config=LOADER,
        code=BAD,
        says="pod_spec.volumes: the name 'airscrew-inputs' is the data loader's",
    ),
    Row(
        name="folders are absolute", template=raw(("in", "/o")), config=LOADER, code=BAD, says="input_path: 'in' is no"
    ),
    Row(name="folders are two", template=raw(("/x/", "/x")), config=LOADER, code=BAD, says="where the inputs are"),
    Row(
        name="default-init and primary-init of a PodTemplate lie under the loader's containers",
        template=raw(),
        config=LOADER,
        base=pod_template(
            init=(
                {"name": "default-init", "workingDir": "/d", "command": ["never"]},
                {"name": "primary-init", "workingDir": "/p"},
            )
        ),
        expect={
            f"{DOWN} > workingDir": "/p",
            f"{UP} > workingDir": "/d",
            f"{DOWN} > image": "airscrew:1",
            f"{DOWN} > command": ["python", "-m", "airscrew.plugins.kubernetes.loader"],
        },
    ),
    Row(
        name="its resources are the configured ones",
        template=raw(),
        config={"loader": {"image": "a", "requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}}},
        expect={f"{UP} > resources": {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}}},
    ),
]


@table(ROWS)
def test_the_data_loader(row: Row) -> None:
    row.check()


def test_what_the_loader_has_to_do_is_in_one_variable() -> None:
    row = Row(name="r", template=raw(format="YAML", download_mode="DO_NOT_DOWNLOAD"), config=SECRET)

    built = row.build()
    loaders = built.manifest["spec"]["initContainers"]
    jobs = [decode_job(one["env"][-1]["value"]) for one in loaders]

    assert [one["env"][-1]["name"] for one in loaders] == [VARIABLE, VARIABLE]
    assert jobs[0] == jobs[1]
    assert jobs[0].input_uri == "s3://b/e/inputs.pb"
    assert (jobs[0].output_prefix, jobs[0].raw_output_prefix) == ("s3://b/e/0", "s3://b/raw/e0")
    assert (jobs[0].form, jobs[0].downloads_values) == ("YAML", False)
    assert list(jobs[0].outputs) == ["b"]
    assert built.uploads


def test_nothing_but_a_verb_is_on_the_loaders_command_line() -> None:
    loaders = Row(name="r", template=raw(), config=SECRET).build().manifest["spec"]["initContainers"]

    assert "storage-access" not in json.dumps([one["command"] + one["args"] for one in loaders])


def test_a_task_without_inputs_has_none_to_bring() -> None:
    loader = Row(name="r", template=raw_pod(), config=LOADER).build().manifest["spec"]["initContainers"][0]

    assert decode_job(loader["env"][-1]["value"]).input_uri == ""
