"""
Roles of a Kubernetes cluster, written of what executors declare. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airscrew.engine.executor import ClusterRight

Manifest = dict[str, object]
RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """
    Whose roles they are.

    Attributes:
        name: Of the roles and of the service account.
        namespace: Of the service account.
    """

    name: str
    namespace: str


def rules(rights: Iterable[ClusterRight]) -> list[Manifest]:
    """Write rights as the rules of a role, each once."""
    unique = dict.fromkeys(rights)
    return [
        {"apiGroups": [right.group], "resources": list(right.resources), "verbs": list(right.verbs)} for right in unique
    ]


def manifests(
    rights: Sequence[ClusterRight], account: Account, namespaces: Sequence[str], *, cluster_wide: bool
) -> list[Manifest]:
    """
    Write the roles and what binds them to an account.

    Args:
        rights: What the account may do.
        account: Whose.
        namespaces: Where; those of a ClusterRole are all.
        cluster_wide: Whether it is a ClusterRole.
    """
    if cluster_wide:
        return _pair("ClusterRole", {"name": account.name}, rights, account)
    places = [{"name": account.name, "namespace": namespace} for namespace in namespaces]
    return [manifest for place in places for manifest in _pair("Role", place, rights, account)]


def _pair(kind: str, metadata: Mapping[str, str], rights: Sequence[ClusterRight], account: Account) -> list[Manifest]:
    subject = {"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}
    bound = {"apiGroup": RBAC, "kind": kind, "name": account.name}
    role: Manifest = {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": rules(rights)}
    head: Manifest = {"apiVersion": f"{RBAC}/v1", "kind": f"{kind}Binding", "metadata": metadata}
    return [role, {**head, "subjects": [subject], "roleRef": bound}]
