"""From a template to its Pod, clause by clause: targets, the primary container, metadata, what every Pod gets."""

from __future__ import annotations

import pytest
from tests.support.pods import IMAGE, Row, container, own, pod_task, pod_template, table, task

from airscrew.idl.template import K8sPod, RunAs, SecurityContext, TaskMetadata
from airscrew.plugins.kubernetes.pod.source import source_pod

BAD = "BadTaskSpecification"
PRIMARY = {"name": "primary", "image": IMAGE}
SIDE = {"name": "side", "image": "busybox"}

TARGETS = [
    Row(
        name="a container target becomes a Pod whose only container is called primary",
        template=task(container(command=("sh",), args=("-c", "true"))),
        expect={
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata > name": "akey",
            "metadata > namespace": "team",
            own("image"): IMAGE,
            own("command"): ["sh"],
            own("args"): ["-c", "true"],
            "metadata > annotations > primary_container_name": "primary",
        },
    ),
    Row(
        name="an empty command is left out, so that the image's entry point stands",
        expect={own("command"): None, own("args"): ["run"]},
    ),
    Row(
        name="a Pod target is taken as it stands, with its other containers",
        template=pod_task(PRIMARY, SIDE, hostname="h"),
        expect={"spec > containers > 1 > image": "busybox", "spec > hostname": "h"},
    ),
    Row(
        name="the template's config names the primary container",
        template=pod_task(SIDE, {"name": "main", "image": IMAGE}, primary="main"),
        expect={"metadata > annotations > primary_container_name": "main"},
    ),
    Row(
        name="without a name the primary container is the one called primary",
        template=pod_task(PRIMARY, SIDE, primary=""),
        expect={"metadata > annotations > primary_container_name": "primary"},
    ),
    Row(
        name="a Pod without its primary container is refused, and told what it has",
        template=pod_task(PRIMARY, SIDE, primary="main"),
        code=BAD,
        says="no primary container 'main': it has primary, side",
    ),
    Row(
        name="an empty Pod specification is refused",
        template=task(K8sPod()),
        code=BAD,
        says="k8s_pod.pod_spec: is empty",
    ),
    Row(
        name="a container without an image is refused",
        template=task(container(image="")),
        code=BAD,
        says="container.image: is empty",
    ),
    Row(
        name="containers that are no list are refused by their path",
        template=task(K8sPod(pod_spec={"containers": "many"})),
        code=BAD,
        says="pod_spec.containers: Expected `array`, got `str`",
    ),
    Row(
        name="a container without a name is refused by its path",
        template=task(K8sPod(pod_spec={"containers": [{"image": "i"}]})),
        code=BAD,
        says="pod_spec.containers[0]: Object missing required field `name`",
    ),
    Row(
        name="a number where a text belongs is refused by its path",
        template=pod_task({"name": "primary", "image": IMAGE, "env": [{"name": 5, "value": "x"}]}),
        code=BAD,
        says="pod_spec.containers[0].env[0].name: Expected `str`, got `int`",
    ),
    Row(
        name="two containers of one name are refused",
        template=pod_task(PRIMARY, PRIMARY),
        code=BAD,
        says="two containers called 'primary'",
    ),
    Row(
        name="fields that only the API server judges pass as they are",
        template=pod_task(PRIMARY, newField={"a": [1]}),
        expect={"spec > newField > a": [1]},
    ),
    Row(
        name="nulls and empty maps of an SDK do no harm",
        template=pod_task({**PRIMARY, "resources": {"limits": {}, "requests": {"cpu": "2"}}, "lifecycle": None}),
        expect={own("resources > requests > cpu"): "2", own("lifecycle"): None},
    ),
    Row(
        name="whole numbers are integers again after their way through a Struct",
        template=pod_task({**PRIMARY, "ports": [{"containerPort": 8080.0}]}),
        expect={own("ports > 0 > containerPort"): 8080},
    ),
]


@table(TARGETS)
def test_the_target_of_a_template_is_its_pod(row: Row) -> None:
    row.check()


def legacy(version: int, custom: dict[str, object], config: dict[str, str] | None = None) -> Row:
    from airscrew.idl.template import make_template

    return Row(name="legacy", template=make_template("sidecar", type_version=version, custom=custom, config=config))


def test_a_sidecar_task_of_version_0_has_its_pod_in_custom() -> None:
    job = {
        "podSpec": {"containers": [{"name": "main", "image": IMAGE}, SIDE]},
        "primaryContainerName": "main",
        "labels": {"l": "1"},
        "annotations": {"a": "2"},
    }

    built = legacy(0, job).build()

    assert built.primary == "main"
    assert built.manifest["metadata"]["labels"] == {"l": "1"}
    assert built.manifest["metadata"]["annotations"]["a"] == "2"


def test_a_sidecar_task_of_version_1_is_a_pod_specification_in_custom() -> None:
    built = legacy(1, {"containers": [{"name": "main", "image": IMAGE}]}, {"primary_container_name": "main"}).build()

    assert built.primary == "main"


METADATA = [
    Row(
        name="labels: the execution wins over the task, the task over its Pod, all over the configuration",
        template=task(
            K8sPod(pod_spec={"containers": [PRIMARY]}, labels={"a": "pod", "b": "pod", "c": "pod"}),
            metadata=TaskMetadata(labels={"b": "task", "c": "task"}),
        ),
        config={"default_labels": {"a": "config", "d": "config"}},
        attempt={"labels": {"c": "execution"}},
        expect={"metadata > labels": {"a": "pod", "b": "task", "c": "execution", "d": "config"}},
    ),
    Row(
        name="annotations follow the same order, and autoscalers are told to leave the Pod alone",
        template=task(metadata=TaskMetadata(annotations={"n": "task"})),
        attempt={"annotations": {"n": "execution"}},
        expect={
            "metadata > annotations > n": "execution",
            "metadata > annotations > cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        },
    ),
    Row(
        name="labels of the PodTemplate lie under those of the task",
        template=task(metadata=TaskMetadata(labels={"a": "task"})),
        base=pod_template(metadata={"labels": {"a": "base", "b": "base"}}),
        expect={"metadata > labels": {"a": "task", "b": "base"}},
    ),
    Row(
        name="a label's value that Kubernetes would refuse is made fit",
        template=task(metadata=TaskMetadata(labels={"who is it": "Ann & Bob, " + "x" * 80, "empty": "!!"})),
        expect={"metadata > labels": {"who-is-it": "Ann-Bob-" + "x" * 55, "empty": ""}},
    ),
    Row(
        name="a label's value that is cut does not end in a dash",
        template=task(metadata=TaskMetadata(labels={"a": "x" * 62 + "-y"})),
        expect={"metadata > labels": {"a": "x" * 62}},
    ),
    Row(
        name="a key with a domain keeps it, in lower case",
        template=task(metadata=TaskMetadata(labels={"Example.ORG/team": "a", "//": "gone"})),
        expect={"metadata > labels": {"example.org/team": "a"}},
    ),
]


@table(METADATA)
def test_labels_and_annotations(row: Row) -> None:
    row.check()


POD = [
    Row(
        name="a Pod is never restarted",
        expect={"spec > restartPolicy": "Never"},
    ),
    Row(
        name="a task may say how it is restarted",
        template=pod_task(restartPolicy="OnFailure"),
        expect={"spec > restartPolicy": "OnFailure"},
    ),
    Row(
        name="the execution's service account is the Pod's",
        attempt={"service_account": "runner"},
        config={"service_account": "other"},
        expect={"spec > serviceAccountName": "runner"},
    ),
    Row(
        name="the configured service account is for executions without one",
        config={"service_account": "runner"},
        expect={"spec > serviceAccountName": "runner"},
    ),
    Row(
        name="a task that names an allowed service account keeps it",
        template=pod_task(serviceAccountName="mine"),
        attempt={"service_account": "runner"},
        config={"policy": {"service_accounts": ["mine", "runner"]}},
        expect={"spec > serviceAccountName": "mine"},
    ),
    Row(
        name="the account that the task wants to run as counts if the execution has none",
        template=task(security_context=SecurityContext(run_as=RunAs(k8s_service_account="mine"))),
        config={"policy": {"service_accounts": ["mine"]}},
        expect={"spec > serviceAccountName": "mine"},
    ),
    Row(
        name="without any account the cluster's default stands",
        expect={"spec > serviceAccountName": None},
    ),
    Row(
        name="the configured scheduler, network, DNS and security context are for Pods that have none",
        config={
            "scheduler_name": "volcano",
            "host_network": True,
            "policy": {"host_network": True},
            "default_dns_config": {"nameservers": ["10.0.0.1"]},
            "default_pod_security_context": {"fsGroup": 1000},
            "default_security_context": {"readOnlyRootFilesystem": True},
        },
        expect={
            "spec > schedulerName": "volcano",
            "spec > hostNetwork": True,
            "spec > dnsConfig": {"nameservers": ["10.0.0.1"]},
            "spec > securityContext": {"fsGroup": 1000},
            own("securityContext"): {"readOnlyRootFilesystem": True},
        },
    ),
    Row(
        name="what a task says of them itself stands",
        template=pod_task(
            {**PRIMARY, "securityContext": {"runAsUser": 7}},
            SIDE,
            schedulerName="mine",
            dnsConfig={"searches": ["x"]},
            securityContext={"fsGroup": 5},
        ),
        config={
            "scheduler_name": "volcano",
            "default_dns_config": {"nameservers": ["10.0.0.1"]},
            "default_pod_security_context": {"fsGroup": 1000},
            "default_security_context": {"readOnlyRootFilesystem": True},
        },
        expect={
            "spec > schedulerName": "mine",
            "spec > dnsConfig": {"searches": ["x"]},
            "spec > securityContext": {"fsGroup": 5},
            own("securityContext"): {"runAsUser": 7},
            "spec > containers > side > securityContext": None,
        },
    ),
    Row(
        name="the tail of the log is the message of a container that says none",
        expect={own("terminationMessagePolicy"): "FallbackToLogsOnError"},
    ),
    Row(
        name="images are pulled as configured",
        config={"image_pull_policy": "IfNotPresent"},
        expect={own("imagePullPolicy"): "IfNotPresent"},
    ),
    Row(
        name="the submission's image replaces that of the task's own container alone",
        template=pod_task(PRIMARY, SIDE),
        attempt={"overrides": {"image": "other:2"}},
        expect={own("image"): "other:2", "spec > containers > side > image": "busybox"},
    ),
    Row(
        name="the submission's image is also known as container_image",
        attempt={"overrides": {"container_image": "other:2"}},
        expect={own("image"): "other:2"},
    ),
    Row(
        name="a submission's pod_template replaces the Pod, and its metadata is added",
        attempt={
            "overrides": {
                "pod_template": {
                    "primaryContainerName": "main",
                    "podSpec": {"containers": [{"name": "main", "image": "other"}]},
                    "metadata": {"labels": {"l": "1"}, "annotations": {"a": "2"}},
                }
            }
        },
        expect={
            "spec > containers > 0 > image": "other",
            "spec > containers > 1": None,
            "metadata > labels > l": "1",
            "metadata > annotations > a": "2",
            "metadata > annotations > primary_container_name": "main",
        },
    ),
    Row(
        name="a submission's pod_template without containers adds its metadata alone",
        attempt={"overrides": {"pod_template": {"metadata": {"labels": {"l": "1"}}}}},
        expect={own("image"): IMAGE, "metadata > labels > l": "1"},
    ),
    Row(
        name="a submission's pod_template has to name the primary container",
        attempt={"overrides": {"pod_template": {"podSpec": {"containers": [{"name": "main", "image": "other"}]}}}},
        code=BAD,
        says="overrides.pod_template.primary_container_name",
    ),
]


@table(POD)
def test_every_pod_gets(row: Row) -> None:
    row.check()


def test_a_template_without_anything_to_run_is_refused() -> None:
    from airscrew.idl.template import make_template

    Row(name="none", template=make_template("python-task"), code=BAD, says="neither a container nor a Pod").check()


def test_texts_are_rendered_in_their_places() -> None:
    init = {"name": "init", "image": "i", "command": ["a", "{{.input}}"]}
    source = source_pod(
        pod_task({**PRIMARY, "args": ["{{.input}}"]}, {**SIDE, "command": ["x"]}, initContainers=[init])
    )

    rendered = source.with_texts([text.replace("{{.input}}", "s3://in") for text in source.texts()])

    assert source.texts() == ["a", "{{.input}}", "{{.input}}", "x"]
    assert rendered.texts() == ["a", "s3://in", "s3://in", "x"]
    assert source.texts()[1] == "{{.input}}"


def test_building_twice_gives_the_same_bytes() -> None:
    import json

    row = Row(name="r", attempt={"environment": {"B": "1", "A": "2"}, "labels": {"z": "1", "a": "2"}})

    assert json.dumps(row.build().manifest) == json.dumps(row.build().manifest)


@pytest.mark.parametrize("row", TARGETS[:1])
def test_a_manifest_shares_nothing_with_what_it_was_built_of(row: Row) -> None:
    first = row.build().manifest
    first["spec"]["containers"][0]["env"].append("changed")

    assert "changed" not in row.build().manifest["spec"]["containers"][0]["env"]
