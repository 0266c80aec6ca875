"""
What no Pod may have unless the administrator allows it. Pure; the last step before a manifest leaves.

It judges the whole Pod, whoever a part came from: task, submission or PodTemplate. What is refused is a
:class:`PermanentError` that names the field and the key that would allow it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from airscrew.engine.errors import PermanentError
from airscrew.idl.json_tree import is_array, is_object
from airscrew.plugins.kubernetes.pod.config import Policy
from airscrew.plugins.kubernetes.pod.source import CONTAINER_FIELDS
from airscrew.plugins.kubernetes.pod.tree import Tree, child, objects, text, texts

FORBIDDEN = "ForbiddenByPolicy"

Refusal = tuple[str, str, str]
"""The field, what is wrong with it, and the key of ``executors.pod.policy`` that would allow it."""


def under_policy(spec: Tree, policy: Policy, *, accounts: frozenset[str]) -> Tree:
    """
    Judge a specification, and have its processes hold to what the policy forbids.

    Args:
        spec: The whole specification.
        policy: What it may have.
        accounts: The service accounts of the execution and of the configuration.

    Raises:
        PermanentError: It has something that is forbidden; names the field and the key.
    """
    for field, problem, key in _refusals(spec, policy, accounts):
        raise PermanentError(f"{field}: {problem} (executors.pod.policy.{key} could allow it)", code=FORBIDDEN)
    found = dict(spec)
    if not policy.root:
        found["securityContext"] = {"runAsNonRoot": True, **child(spec, "securityContext")}
    if not policy.privilege_escalation:
        for group in CONTAINER_FIELDS:
            if group in spec:
                found[group] = [_without_escalation(one) for one in objects(spec, group)]
    return found


def check_references(spec: Mapping[str, object], policy: Policy, *, own: str) -> None:
    """
    Judge which Secrets a task's own specification refers to.

    Args:
        spec: The specification of the task, before anything was added to it.
        policy: What it may refer to.
        own: The Secret with the data loader's access to the storage, which no task may read.

    Raises:
        PermanentError: It refers to another one; names it.
    """
    for field, name in _secret_references(spec):
        if own and name == own:
            raise PermanentError(f"{field}: Secret {name!r} is the data loader's own", code=FORBIDDEN)
        if policy.secrets is not None and name not in policy.secrets:
            raise PermanentError(
                f"{field}: Secret {name!r} may not be referred to (executors.pod.policy.secrets could allow it)",
                code=FORBIDDEN,
            )


def _without_escalation(container: Tree) -> Tree:
    context = {"allowPrivilegeEscalation": False, **child(container, "securityContext")}
    return {**container, "securityContext": context}


def _refusals(spec: Tree, policy: Policy, accounts: frozenset[str]) -> Iterator[Refusal]:
    yield from _host_refusals(spec, policy)
    yield from _identity_refusals(spec, policy, accounts)
    yield from _context_refusals("spec.securityContext", child(spec, "securityContext"), policy)
    for group in (*CONTAINER_FIELDS, "ephemeralContainers"):
        for one in objects(spec, group):
            where = f"spec.{group}[{text(one, 'name')}]"
            yield from _container_refusals(where, one, policy)


def _host_refusals(spec: Tree, policy: Policy) -> Iterator[Refusal]:
    if spec.get("hostNetwork") and not policy.host_network:
        yield "spec.hostNetwork", "the node's network is not for tasks", "host_network"
    for field in ("hostPID", "hostIPC"):
        if spec.get(field) and not policy.host_namespaces:
            yield f"spec.{field}", "the node's namespaces are not for tasks", "host_namespaces"
    for volume in objects(spec, "volumes"):
        path = text(child(volume, "hostPath"), "path")
        if "hostPath" in volume and not _is_below(path, policy.host_paths):
            where = f"spec.volumes[{text(volume, 'name')}].hostPath"
            yield where, f"folder {path!r} of the node is not for tasks", "host_paths"
    if spec.get("nodeName") and not policy.node_name:
        yield "spec.nodeName", "a Pod may not pass by the scheduler", "node_name"


def _identity_refusals(spec: Tree, policy: Policy, accounts: frozenset[str]) -> Iterator[Refusal]:
    allowed = accounts if policy.service_accounts is None else frozenset(policy.service_accounts)
    for field in ("serviceAccountName", "serviceAccount"):
        name = text(spec, field)
        if name and name not in allowed:
            yield f"spec.{field}", f"the task may not run as service account {name!r}", "service_accounts"
    priority = text(spec, "priorityClassName")
    if priority and policy.priority_classes is not None and priority not in policy.priority_classes:
        yield "spec.priorityClassName", f"priority class {priority!r} is not for tasks", "priority_classes"


def _container_refusals(where: str, container: Tree, policy: Policy) -> Iterator[Refusal]:
    for port in objects(container, "ports"):
        if port.get("hostPort") and not policy.host_network:
            yield f"{where}.ports.hostPort", "ports of the node are not for tasks", "host_network"
    context = child(container, "securityContext")
    here = f"{where}.securityContext"
    if context.get("privileged") and not policy.privileged:
        yield f"{here}.privileged", "privileged containers are not for tasks", "privileged"
    if context.get("allowPrivilegeEscalation") and not policy.privilege_escalation:
        yield f"{here}.allowPrivilegeEscalation", "processes may not gain rights", "privilege_escalation"
    for one in texts(child(context, "capabilities"), "add"):
        allowed = {name.upper().removeprefix("CAP_") for name in policy.capabilities}
        if "*" not in allowed and one.upper().removeprefix("CAP_") not in allowed:
            yield f"{here}.capabilities.add", f"capability {one!r} is not for tasks", "capabilities"
    if text(context, "procMount") == "Unmasked" and not policy.unconfined:
        yield f"{here}.procMount", "an unmasked /proc is not for tasks", "unconfined"
    yield from _context_refusals(here, context, policy)


def _context_refusals(where: str, context: Tree, policy: Policy) -> Iterator[Refusal]:
    """Judge what a Pod's and a container's security context have in common."""
    if not policy.root:
        if context.get("runAsUser") == 0:
            yield f"{where}.runAsUser", "tasks may not run as root", "root"
        if context.get("runAsNonRoot") is False:
            yield f"{where}.runAsNonRoot", "tasks may not run as root", "root"
    if child(context, "windowsOptions").get("hostProcess") and not policy.privileged:
        yield f"{where}.windowsOptions.hostProcess", "processes of the node are not for tasks", "privileged"
    if not policy.unconfined:
        for profile in ("seccompProfile", "appArmorProfile"):
            if text(child(context, profile), "type") == "Unconfined":
                yield f"{where}.{profile}", "tasks may not do without a profile", "unconfined"


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    one = PurePosixPath(path)
    return ".." not in one.parts and any(one.is_relative_to(folder) for folder in folders)


def _secret_references(spec: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """List every Secret that containers and volumes refer to; those that pull images never reach a task."""
    for group in (*CONTAINER_FIELDS, "volumes"):
        for one in objects(spec, group):
            yield from _named_secrets(f"spec.{group}[{text(one, 'name')}]", one)


def _named_secrets(where: str, value: object) -> Iterator[tuple[str, str]]:
    if is_array(value):
        for item in value:
            yield from _named_secrets(where, item)
    elif is_object(value):
        for key, item in value.items():
            if is_object(item) and key.lower().endswith(("secretref", "secretkeyref", "secret")):
                if text(item, "name"):
                    yield f"{where}.{key}", text(item, "name")
            elif key == "secretName" and isinstance(item, str):
                yield f"{where}.{key}", item
            yield from _named_secrets(where, item)
