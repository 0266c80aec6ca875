"""What no Pod may have unless it is allowed, field by field: refused by default, and allowed by its key."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.pods import IMAGE, Row, own, pod_task, table, task

from airscrew.idl.template import RunAs, SecurityContext

PRIMARY = {"name": "primary", "image": IMAGE}


def with_context(**context: Any) -> dict[str, Any]:
    return {"template": pod_task({**PRIMARY, "securityContext": context})}


def with_spec(**spec: Any) -> dict[str, Any]:
    return {"template": pod_task(PRIMARY, **spec)}


def host_path(path: str) -> dict[str, Any]:
    return with_spec(volumes=[{"name": "v", "hostPath": {"path": path}}])


HERE = "spec.containers[primary].securityContext"
NO_ROOT = {"root": False}
NO_GAIN = {"privilege_escalation": False}

CASES: list[tuple[str, dict[str, Any], str, dict[str, Any], dict[str, Any]]] = [
    ("privileged containers", with_context(privileged=True), f"{HERE}.privileged", {}, {"privileged": True}),
    ("capabilities", with_context(capabilities={"add": ["CAP_SYS_ADMIN"]}), f"{HERE}.capabilities.add", {},
     {"capabilities": ["SYS_ADMIN"]}),
    ("any capability", with_context(capabilities={"add": ["NET_ADMIN"]}), f"{HERE}.capabilities.add", {},
     {"capabilities": ["*"]}),
    ("an unmasked /proc", with_context(procMount="Unmasked"), f"{HERE}.procMount", {}, {"unconfined": True}),
    ("no seccomp profile", with_context(seccompProfile={"type": "Unconfined"}), f"{HERE}.seccompProfile", {},
     {"unconfined": True}),
    ("processes of a Windows node", with_context(windowsOptions={"hostProcess": True}),
     f"{HERE}.windowsOptions.hostProcess", {}, {"privileged": True}),
    ("more rights than the parent", with_context(allowPrivilegeEscalation=True), f"{HERE}.allowPrivilegeEscalation",
     NO_GAIN, {"privilege_escalation": True}),
    ("root in a container", with_context(runAsUser=0), f"{HERE}.runAsUser", NO_ROOT, {"root": True}),
    ("root in the Pod", with_spec(securityContext={"runAsUser": 0}), "spec.securityContext.runAsUser", NO_ROOT,
     {"root": True}),
    ("perhaps root", with_context(runAsNonRoot=False), f"{HERE}.runAsNonRoot", NO_ROOT, {"root": True}),
    ("the node's network", with_spec(hostNetwork=True), "spec.hostNetwork", {}, {"host_network": True}),
    ("the node's processes", with_spec(hostPID=True), "spec.hostPID", {}, {"host_namespaces": True}),
    ("the node's IPC", with_spec(hostIPC=True), "spec.hostIPC", {}, {"host_namespaces": True}),
    ("ports of the node", {"template": pod_task({**PRIMARY, "ports": [{"containerPort": 1, "hostPort": 1}]})},
     "spec.containers[primary].ports.hostPort", {}, {"host_network": True}),
    ("folders of the node", host_path("/data/sets"), "spec.volumes[v].hostPath", {}, {"host_paths": ["/data"]}),
    ("a node by its name", with_spec(nodeName="n1"), "spec.nodeName", {}, {"node_name": True}),
    ("priority classes that are not listed", with_spec(priorityClassName="system-node-critical"),
     "spec.priorityClassName", {"priority_classes": []}, {"priority_classes": ["system-node-critical"]}),
    ("a foreign service account", with_spec(serviceAccountName="admin"), "spec.serviceAccountName", {},
     {"service_accounts": ["admin"]}),
    ("a foreign service account by its old field", with_spec(serviceAccount="admin"), "spec.serviceAccount", {},
     {"service_accounts": ["admin"]}),
    ("a foreign service account of the template", {
        "template": task(security_context=SecurityContext(run_as=RunAs(k8s_service_account="admin")))},
     "spec.serviceAccountName", {}, {"service_accounts": ["admin"]}),
    ("an execution's service account that is not listed", {"attempt": {"service_account": "admin"}},
     "spec.serviceAccountName", {"service_accounts": ["runner"]}, {}),
    ("a Secret that is not listed", {
        "template": pod_task({**PRIMARY, "envFrom": [{"secretRef": {"name": "db"}}]})},
     "spec.containers[primary].secretRef", {"secrets": []}, {"secrets": ["db"]}),
    ("a Secret of a volume that is not listed", with_spec(volumes=[{"name": "v", "secret": {"secretName": "db"}}]),
     "spec.volumes[v].secretName", {"secrets": []}, {"secrets": ["db"]}),
    ("a Secret of a variable that is not listed", {"template": pod_task(
        {**PRIMARY, "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}}]})},
     "spec.containers[primary].secretKeyRef", {"secrets": []}, {}),
    ("the same in an init container", with_spec(
        initContainers=[{"name": "i", "image": "i", "securityContext": {"privileged": True}}]),
     "spec.initContainers[i].securityContext.privileged", {}, {"privileged": True}),
    ("the same in a submission's Pod", {"attempt": {"overrides": {"pod_template": {
        "primary_container_name": "primary",
        "pod_spec": {"containers": [PRIMARY], "hostNetwork": True}}}}},
     "spec.hostNetwork", {}, {"host_network": True}),
]  # fmt: skip


@pytest.mark.parametrize(("what", "given", "field", "policy", "allowing"), CASES, ids=[case[0] for case in CASES])
def test_is_refused_by_its_field_and_allowed_by_its_key(
    what: str, given: dict[str, Any], field: str, policy: dict[str, Any], allowing: dict[str, Any]
) -> None:
    Row(name=what, **given, config={"policy": policy}, code="ForbiddenByPolicy", says=f"{field}: ").check()

    if allowing:
        Row(name=what, **given, config={"policy": {**policy, **allowing}}).build()
        key = next(iter(allowing))
        Row(name=what, **given, config={"policy": policy}, code="ForbiddenByPolicy", says=f"policy.{key} could").check()


HOLDS = [
    Row(
        name="where root is forbidden every Pod is told so",
        config={"policy": NO_ROOT},
        expect={"spec > securityContext": {"runAsNonRoot": True}},
    ),
    Row(
        name="where nothing may gain rights every container is told so",
        template=pod_task(PRIMARY, initContainers=[{"name": "i", "image": "i"}]),
        config={"policy": NO_GAIN},
        expect={
            own("securityContext"): {"allowPrivilegeEscalation": False},
            "spec > initContainers > i > securityContext": {"allowPrivilegeEscalation": False},
        },
    ),
    Row(name="folders beside an allowed one are not", **host_path("/database"),
        config={"policy": {"host_paths": ["/data"]}}, code="ForbiddenByPolicy", says="'/database'"),
    Row(name="no way leads up out of an allowed folder", **host_path("/data/../etc"),
        config={"policy": {"host_paths": ["/data"]}}, code="ForbiddenByPolicy", says="'/data/../etc'"),
    Row(name="all folders are allowed by the root", **host_path("/etc"), config={"policy": {"host_paths": ["/"]}}),
    Row(name="dropping capabilities is always allowed", **with_context(capabilities={"drop": ["ALL"]})),
    Row(name="the configured service account is no foreign one", **with_spec(serviceAccountName="runner"),
        config={"service_account": "runner"}),
    Row(name="Secrets that pull images never reach the task", **with_spec(imagePullSecrets=[{"name": "registry"}]),
        config={"policy": {"secrets": []}}),
]  # fmt: skip


@table(HOLDS)
def test_the_policy_holds(row: Row) -> None:
    row.check()
