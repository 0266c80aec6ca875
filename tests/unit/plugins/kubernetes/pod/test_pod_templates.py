"""A PodTemplate under the Pod of a task, clause by clause."""

from __future__ import annotations

import pytest
from tests.support.pods import IMAGE, Row, container, own, pod_task, pod_template, table, task

from airscrew.idl.template import TaskMetadata
from airscrew.plugins.kubernetes.pod.build import TemplateChoice, choose_pod_template
from airscrew.plugins.kubernetes.pod.config import read_config
from airscrew.plugins.kubernetes.pod.merge import with_pod_template

NAMED = TaskMetadata(pod_template_name="gpu")
PRIMARY = {"name": "primary", "image": IMAGE}
SIDE = {"name": "side", "image": "busybox"}


def env(**variables: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in variables.items()]


def values(entries: list[dict[str, str]]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in entries}


ROWS = [
    Row(
        name="a PodTemplate that the task names and nobody has is refused",
        template=task(metadata=NAMED),
        config={"pod_template_namespace": "flyte"},
        code="PodTemplateNotFound",
        says="there is no PodTemplate 'gpu' in team or flyte",
    ),
    Row(
        name="a configured PodTemplate that nobody has is none",
        config={"pod_template": "base"},
        expect={own("image"): IMAGE},
    ),
    Row(
        name="fields of the Pod come from it unless the task says them",
        template=pod_task(PRIMARY, priorityClassName="mine"),
        base=pod_template(priorityClassName="low", runtimeClassName="gvisor"),
        expect={"spec > priorityClassName": "mine", "spec > runtimeClassName": "gvisor"},
    ),
    Row(
        name="what the API server fills into a PodTemplate is nobody's wish",
        base=pod_template(),
        config={"scheduler_name": "volcano"},
        expect={
            "spec > restartPolicy": "Never",
            "spec > schedulerName": "volcano",
            own("terminationMessagePolicy"): "FallbackToLogsOnError",
        },
    ),
    Row(
        name="a scheduler that a PodTemplate really names counts",
        base=pod_template(schedulerName="kueue"),
        expect={"spec > schedulerName": "kueue"},
    ),
    Row(
        name="default lies under every container",
        template=pod_task(PRIMARY, SIDE),
        base=pod_template({"name": "default", "workingDir": "/w"}),
        expect={own("workingDir"): "/w", "spec > containers > side > workingDir": "/w"},
    ),
    Row(
        name="primary lies under the task's own container alone, over default",
        template=pod_task(PRIMARY, SIDE),
        base=pod_template(
            {"name": "default", "workingDir": "/w"}, {"name": "primary", "workingDir": "/p", "tty": True}
        ),
        expect={
            own("workingDir"): "/p",
            own("tty"): True,
            "spec > containers > side > workingDir": "/w",
            "spec > containers > side > tty": None,
        },
    ),
    Row(
        name="primary lies under the task's own container whatever it is called",
        template=pod_task(SIDE, {"name": "main", "image": IMAGE}, primary="main"),
        base=pod_template({"name": "primary", "tty": True}),
        expect={"spec > containers > main > tty": True, "spec > containers > side > tty": None},
    ),
    Row(
        name="a container of the same name lies under the task's, over default",
        template=pod_task(PRIMARY, SIDE),
        base=pod_template({"name": "default", "workingDir": "/w"}, {"name": "side", "workingDir": "/s"}),
        expect={"spec > containers > side > workingDir": "/s", own("workingDir"): "/w"},
    ),
    Row(
        name="a container of the same name lies over primary too",
        template=pod_task({"name": "main", "image": IMAGE}, primary="main"),
        base=pod_template({"name": "primary", "workingDir": "/p", "tty": True}, {"name": "main", "workingDir": "/m"}),
        expect={"spec > containers > main > workingDir": "/m", "spec > containers > main > tty": True},
    ),
    Row(
        name="a container that the task does not have is left out",
        base=pod_template({"name": "other"}),
        expect={"spec > containers > other": None, "spec > containers > 1": None},
    ),
    Row(
        name="the image of the PodTemplate's containers only fills their place",
        base=pod_template({"name": "default"}, {"name": "primary"}),
        expect={own("image"): IMAGE},
    ),
    Row(
        name="default-init lies under every init container",
        template=pod_task(PRIMARY, initContainers=[{"name": "prepare", "image": "busybox"}]),
        base=pod_template(init=({"name": "default-init", "workingDir": "/i"},)),
        expect={
            "spec > initContainers > prepare > workingDir": "/i",
            "spec > initContainers > prepare > image": "busybox",
            "spec > initContainers > 1": None,
        },
    ),
    Row(
        name="a command of the PodTemplate stands under a task that has none",
        template=pod_task(PRIMARY),
        base=pod_template({"name": "default", "command": ["wrap"], "args": ["-x"]}),
        expect={own("command"): ["wrap"], own("args"): ["-x"]},
    ),
    Row(
        name="a task with args of its own takes neither command nor args from below",
        base=pod_template({"name": "default", "command": ["sleep"], "args": ["infinity"]}),
        expect={own("command"): None, own("args"): ["run"]},
    ),
    Row(
        name="volumes and mounts are joined by their names and paths, the task's in place of the same one",
        template=pod_task(
            {**PRIMARY, "volumeMounts": [{"name": "v", "mountPath": "/a", "readOnly": True}]},
            volumes=[{"name": "v", "configMap": {"name": "c"}}],
        ),
        base=pod_template(
            {"name": "default", "volumeMounts": [{"name": "w", "mountPath": "/b"}, {"name": "v", "mountPath": "/a"}]},
            volumes=[{"name": "v", "emptyDir": {}}, {"name": "w", "emptyDir": {}}],
        ),
        expect={
            "spec > volumes > v": {"name": "v", "configMap": {"name": "c"}},
            "spec > volumes > w": {"name": "w", "emptyDir": {}},
            own("volumeMounts > /a"): {"name": "v", "mountPath": "/a", "readOnly": True},
            own("volumeMounts > /b"): {"name": "w", "mountPath": "/b"},
        },
    ),
    Row(
        name="tolerations are joined, each once",
        template=pod_task(PRIMARY, tolerations=[{"key": "a", "operator": "Exists"}]),
        base=pod_template(tolerations=[{"key": "b", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]),
        expect={"spec > tolerations": [{"key": "b", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]},
    ),
    Row(
        name="node selectors are joined key by key, the task's over the PodTemplate's over the configuration's",
        template=pod_task(PRIMARY, nodeSelector={"a": "task"}),
        base=pod_template(nodeSelector={"a": "base", "b": "base"}),
        config={"default_node_selector": {"a": "config", "b": "config", "c": "config"}},
        expect={"spec > nodeSelector": {"a": "task", "b": "base", "c": "config"}},
    ),
    Row(
        name="node selector terms of a task are not weakened by those of the PodTemplate",
        template=pod_task(
            PRIMARY,
            affinity={
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": ["task"]}]}
                }
            },
        ),
        base=pod_template(
            affinity={
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": ["base"]}]}
                }
            }
        ),
        expect={
            "spec > affinity > nodeAffinity > requiredDuringSchedulingIgnoredDuringExecution > nodeSelectorTerms": [
                {"matchFields": ["task"]}
            ]
        },
    ),
    Row(
        name="a PodTemplate that is not well formed is told as such",
        base=pod_template({"name": "default", "env": [{"value": "nameless"}]}),
        code="BadTaskSpecification",
        says="PodTemplate under pod_spec.containers[0].env[0]",
    ),
    Row(
        name="the policy holds for what a PodTemplate brings too",
        base=pod_template(hostPID=True),
        code="ForbiddenByPolicy",
        says="spec.hostPID",
    ),
]


@table(ROWS)
def test_under_the_pod_of_a_task(row: Row) -> None:
    row.check()


def test_variables_are_joined_by_their_names() -> None:
    row = Row(
        name="env",
        template=task(container(env={"A": "task"})),
        base=pod_template({"name": "default", "env": env(A="base", B="base")}),
    )

    variables = values(row.build().manifest["spec"]["containers"][0]["env"])

    assert variables == {"A": "task", "B": "base"}


def test_the_task_chooses_before_the_configuration() -> None:
    config = read_config({"pod_template": "base", "pod_template_namespace": "flyte"})

    assert choose_pod_template(task(metadata=NAMED), "team", config) == TemplateChoice("gpu", True, ("team", "flyte"))
    assert choose_pod_template(task(), "team", config) == TemplateChoice("base", False, ("team", "flyte"))
    assert choose_pod_template(task(), "flyte", config).namespaces == ("flyte",)
    assert not choose_pod_template(task(), "team", read_config({})).name


@pytest.mark.parametrize(
    ("image", "filled_in", "left"),
    [
        ("none", "Always", None),
        ("registry:5000/none:latest", "Always", None),
        ("registry:5000/none", "Always", None),
        ("none:1", "IfNotPresent", None),
        ("none@sha256:00", "IfNotPresent", None),
        ("none", "Never", "Never"),
        ("none:1", "Always", "Always"),
    ],
)
def test_the_pull_policy_that_the_api_server_fills_in_is_nobodys_wish(
    image: str, filled_in: str, left: str | None
) -> None:
    pod_template = {
        "template": {"spec": {"containers": [{"name": "default", "image": image, "imagePullPolicy": filled_in}]}}
    }

    made = with_pod_template({"containers": [{"name": "primary", "image": "task:1"}]}, pod_template, primary="primary")

    assert made["containers"][0].get("imagePullPolicy") == left
