"""
What quotas count of a Pod: itself, and what its main containers ask for and are held to. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

from airscrew.idl.quantity import read_quantity
from airscrew.plugins.kubernetes.pod.tree import child, objects


def pod_demand(manifest: Mapping[str, object]) -> Mapping[str, Decimal]:
    """
    Sum up a Pod's needs, by the names that quotas have for them.

    Init containers are left out: at worst that is a creation that is refused.
    """
    found: defaultdict[str, Decimal] = defaultdict(Decimal, {"pods": Decimal(1), "count/pods": Decimal(1)})
    for container in objects(child(manifest, "spec"), "containers"):
        limits = child(container, "resources", "limits")
        for name, value in limits.items():
            found[f"limits.{name}"] += _amount(value)
        for name, value in {**limits, **child(container, "resources", "requests")}.items():
            found[f"requests.{name}"] += _amount(value)
            found[name] += _amount(value)
    return found


def _amount(value: object) -> Decimal:
    return read_quantity(str(value)) or Decimal(0)
