"""Variables of containers, and secrets by reference, clause by clause."""

from __future__ import annotations

import json
from typing import Any

from tests.support.pods import IMAGE, Row, container, own, pod_task, table, task

from airscrew.idl.template import SecretRef, SecurityContext
from airscrew.idl.wire import WireForm
from airscrew.plugins.kubernetes.pod.config import SecretPlaces
from airscrew.plugins.kubernetes.pod.secrets import secret_parts

PRIMARY = {"name": "primary", "image": IMAGE}
SIDE = {"name": "side", "image": "busybox"}
VALUE = "hunter2-the-value"


def variable(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


def reference(name: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def secret(**one: str) -> Any:
    return task(security_context=SecurityContext(secrets=(SecretRef(**one),)))


VARIABLES = [
    Row(
        name="the container's own win over the attempt's, those over the configuration's, those over the engine's",
        template=task(container(env={"A": "container"})),
        attempt={"environment": {"A": "attempt", "B": "attempt"}},
        config={
            "default_env": {"A": "config", "B": "config", "C": "config"},
            "default_env_from_engine": {"A": "ENGINE", "C": "ENGINE", "D": "ENGINE", "E": "NOT_SET"},
        },
        engine_env={"ENGINE": "engine", "OTHER": "never"},
        expect={
            own("env"): [
                variable("D", "engine"),
                variable("C", "config"),
                variable("B", "attempt"),
                variable("A", "container"),
            ]
        },
    ),
    Row(
        name="every container of the task gets those of the attempt",
        template=pod_task(PRIMARY, SIDE, initContainers=[{"name": "init", "image": "i"}]),
        attempt={"environment": {"FLYTE_ATTEMPT_NUMBER": "0"}},
        expect={
            own("env"): [variable("FLYTE_ATTEMPT_NUMBER", "0")],
            "spec > containers > side > env": [variable("FLYTE_ATTEMPT_NUMBER", "0")],
            "spec > initContainers > init > env": [variable("FLYTE_ATTEMPT_NUMBER", "0")],
        },
    ),
    Row(
        name="a value that is not the container's own is never read as a reference",
        template=task(container(env={"MINE": "$(THEIRS)"})),
        attempt={"environment": {"THEIRS": "$(_FSEC_TEAM_TOKEN)"}},
        expect={own("env"): [variable("THEIRS", "$$(_FSEC_TEAM_TOKEN)"), variable("MINE", "$(THEIRS)")]},
    ),
    Row(
        name="configured ConfigMaps and Secrets are variables, if they are there, under the container's own",
        template=pod_task({**PRIMARY, "envFrom": [{"configMapRef": {"name": "mine"}}]}),
        config={"default_env_from_config_maps": ["c"], "default_env_from_secrets": ["s"]},
        expect={
            own("envFrom"): [
                {"configMapRef": {"name": "c", "optional": True}},
                {"secretRef": {"name": "s", "optional": True}},
                {"configMapRef": {"name": "mine"}},
            ]
        },
    ),
]


@table(VARIABLES)
def test_variables(row: Row) -> None:
    row.check()


SECRETS = [
    Row(
        name="a secret is a variable under the name that flytekit looks at",
        template=secret(group="grp", key="k1", mount_requirement="ENV_VAR"),
        expect={own("env"): [reference("_FSEC_GRP_K1", "grp", "k1")]},
    ),
    Row(
        name="a version is part of the variable's name, and not needed in it",
        template=secret(group="grp", key="k1", version="v2", mount_requirement="ENV_VAR"),
        expect={
            own("env"): [reference("_FSEC_GRP_K1", "grp", "k1"), reference("_FSEC_GRP_V2_K1", "grp", "k1")],
        },
    ),
    Row(
        name="the variable that the task names has it too",
        template=secret(key="k1", env_var="K1", mount_requirement="ENV_VAR"),
        expect={
            own("env"): [reference("K1", "airscrew-secrets", "k1"), reference("_FSEC_K1", "airscrew-secrets", "k1")]
        },
    ),
    Row(
        name="a secret wins over a variable of the container",
        template=task(
            container(env={"_FSEC_GRP_K1": "fake"}),
            security_context=SecurityContext(secrets=(SecretRef(group="grp", key="k1"),)),
        ),
        expect={own("env"): [reference("_FSEC_GRP_K1", "grp", "k1")]},
    ),
    Row(
        name="a key without a group is in the configured Secret",
        template=secret(key="k1"),
        config={"secrets": {"default": "ours"}},
        expect={own("env"): [reference("_FSEC_K1", "ours", "k1")]},
    ),
    Row(
        name="a group whose Secret is called otherwise is configured",
        template=secret(group="My_Group", key="k1"),
        config={"secrets": {"names": {"My_Group": "my-group"}}},
        expect={own("env"): [reference("_FSEC_MY_GROUP_K1", "my-group", "k1")]},
    ),
    Row(
        name="a group that can be no Secret is refused, and told where to name it",
        template=secret(group="My_Group", key="k1"),
        code="BadTaskSpecification",
        says="executors.pod.secrets.names.My_Group",
    ),
    Row(
        name="a file lies where flytekit reads it, and the task is told where that is",
        template=secret(group="grp", key="K1", mount_requirement="FILE"),
        expect={
            "spec > volumes > airscrew-secrets > projected > sources": [
                {"secret": {"name": "grp", "items": [{"key": "K1", "path": "grp/k1"}]}}
            ],
            own("volumeMounts"): [{"name": "airscrew-secrets", "mountPath": "/etc/secrets", "readOnly": True}],
            own("env"): [
                variable("FLYTE_SECRETS_DEFAULT_DIR", "/etc/secrets"),
                variable("FLYTE_SECRETS_FILE_PREFIX", ""),
            ],
        },
    ),
    Row(
        name="a version is a folder of a file",
        template=secret(group="grp", key="k1", version="v2", mount_requirement="FILE"),
        expect={"spec > volumes > airscrew-secrets > projected > sources > 0 > secret > items > 0 > path": "grp/v2/k1"},
    ),
    Row(
        name="a file that has a variable too is named by it",
        template=secret(group="grp", key="k1", env_var="WHERE", mount_requirement="FILE"),
        expect={own("env > WHERE > value"): "/etc/secrets/grp/k1"},
    ),
    Row(
        name="what may be either is a file when it is configured so",
        template=secret(group="grp", key="k1"),
        config={"secrets": {"any": "file", "directory": "/run/secrets"}},
        expect={own("volumeMounts > /run/secrets > readOnly"): True, own("env > _FSEC_GRP_K1"): None},
    ),
    Row(
        name="what may be either and names a variable is a variable",
        template=secret(group="grp", key="k1", env_var="K1"),
        config={"secrets": {"any": "file"}},
        expect={own("env > K1"): reference("K1", "grp", "k1"), "spec > volumes": None},
    ),
    Row(
        name="a key that leads elsewhere is refused",
        template=secret(group="grp", key="../token", mount_requirement="FILE"),
        code="BadTaskSpecification",
        says="'../token' is not valid",
    ),
    Row(
        name="a key that no Secret can have is refused",
        template=secret(group="grp", key="a@b"),
        code="BadTaskSpecification",
        says="secret 'grp/a@b'",
    ),
]


@table(SECRETS)
def test_secrets(row: Row) -> None:
    row.check()


def test_every_container_of_the_task_has_its_secrets() -> None:
    from airscrew.idl.template import K8sPod

    spec = {"containers": [PRIMARY, SIDE], "initContainers": [{"name": "init", "image": "i"}]}
    wanted = SecurityContext(
        secrets=(SecretRef(group="g", key="k"), SecretRef(group="g", key="f", mount_requirement="FILE"))
    )
    manifest = Row(name="r", template=task(K8sPod(pod_spec=spec), security_context=wanted)).build().manifest["spec"]

    for one in (*manifest["containers"], *manifest["initContainers"]):
        assert reference("_FSEC_G_K", "g", "k") in one["env"]
        assert [mount["name"] for mount in one["volumeMounts"]] == ["airscrew-secrets"]


def test_files_of_several_groups_are_in_one_volume() -> None:
    wanted = [SecretRef(group=group, key="k", mount_requirement="FILE") for group in ("a", "b", "")]

    parts = secret_parts(wanted, SecretPlaces(), WireForm.FLYTE1)

    assert len(parts.volumes) == len(parts.mounts) == 1
    sources = parts.volumes[0]["projected"]["sources"]
    assert [one["secret"]["items"][0]["path"] for one in sources] == ["a/k", "b/k", "k"]


def test_files_of_a_flyte_2_task_are_where_its_sdk_looks() -> None:
    parts = secret_parts([SecretRef(group="g", key="k", mount_requirement="FILE")], SecretPlaces(), WireForm.FLYTE2)

    assert parts.mounts[0]["mountPath"] == "/etc/flyte/secrets"


def test_a_value_among_the_engines_variables_is_never_passed_on(monkeypatch: Any) -> None:
    monkeypatch.setenv("_FSEC_GRP_K1", VALUE)
    row = Row(name="r", template=secret(group="grp", key="k1"), engine_env={"_FSEC_GRP_K1": VALUE})

    assert VALUE not in json.dumps(row.build().manifest)
