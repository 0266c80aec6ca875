"""
What a container asks for and what it is held to. Pure.

Whoever is first to say something of a resource is heard: the submission, the container, the PodTemplate under it, the
defaults of the configuration. A request without a limit is its own limit, and a limit without a request its own
request. When request and limit come from two of them and do not fit, the one of the first stands and the other moves.

Nothing exceeds ``max_resources``, and a request never exceeds its limit. Of extended resources (``nvidia.com/gpu``)
both are the same, as Kubernetes wants it. Containers beside the task's are only held to the bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from airscrew.idl.quantity import read_quantity
from airscrew.plugins.kubernetes.pod.tree import Tree, bad, child, copied, strings

GPU = "gpu"
_HUGE_PAGES = "hugepages-"


@dataclass(frozen=True, slots=True)
class Amounts:
    """
    Requests and limits by the name of the resource.

    Attributes:
        requests: What is asked for.
        limits: What it is held to.
    """

    requests: Mapping[str, str] = field(default_factory=dict[str, str])
    limits: Mapping[str, str] = field(default_factory=dict[str, str])

    @staticmethod
    def of(resources: Mapping[str, object], gpu_name: str, where: str) -> Amounts:
        """
        Read ``resources`` of a container; ``gpu`` gets its real name, and zero is nothing.

        Raises:
            PermanentError: One is no quantity; names the field.
        """
        found: list[dict[str, str]] = []
        for kind in ("requests", "limits"):
            amounts = {gpu_name if name.lower() == GPU else name: value for name, value in
                       strings(resources, kind).items()}  # fmt: skip
            found.append({name: value for name, value in amounts.items() if amount(value, f"{where}.{kind}.{name}")})
        return Amounts(*found)

    def names(self) -> list[str]:
        """List the resources that are named."""
        return sorted({*self.requests, *self.limits})

    def tree(self) -> Tree:
        """Write them as Kubernetes has them."""
        kinds = {"requests": dict(sorted(self.requests.items())), "limits": dict(sorted(self.limits.items()))}
        return {kind: values for kind, values in kinds.items() if values}


def amount(text: str, where: str) -> Decimal:
    """
    Read a quantity that is needed; zero for an empty one.

    Raises:
        PermanentError: It is none.
    """
    found = read_quantity(text.strip()) if text.strip() else Decimal(0)
    if found is None or found < 0:
        raise bad(where, f"{text!r} is no quantity: use something like 500m or 400Mi")
    return found


def task_amounts(levels: Sequence[Amounts], defaults: Mapping[str, str], bounds: Mapping[str, str]) -> Amounts:
    """
    Decide on the resources of the task's own container.

    Args:
        levels: Who says something, the first first.
        defaults: Requests of what nobody says anything of.
        bounds: What nothing may exceed.
    """
    levels = [*levels, Amounts(requests={name: value for name, value in defaults.items() if amount(value, name)})]
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    for name in sorted({name for level in levels for name in level.names()}):
        requests[name], limits[name] = _pair(name, levels)
    return bounded(Amounts(requests, limits), bounds)


def bounded(amounts: Amounts, bounds: Mapping[str, str]) -> Amounts:
    """Hold amounts to the bounds, and requests to their limits; nothing is added."""
    limits = {name: _at_most(value, bounds.get(name)) for name, value in amounts.limits.items()}
    requests = {
        name: _at_most(_at_most(value, bounds.get(name)), limits.get(name)) for name, value in amounts.requests.items()
    }
    for name in {*requests, *limits}:
        if is_extended(name):
            # Kubernetes takes no other: an extended resource cannot be shared.
            limits[name] = requests[name] = limits.get(name) or requests[name]
    return Amounts(requests, limits)


def is_extended(name: str) -> bool:
    """Tell whether Kubernetes wants request and limit of this resource to be the same."""
    domain, slash, _ = name.partition("/")
    return name.startswith(_HUGE_PAGES) or (bool(slash) and domain != "kubernetes.io")


def override_amounts(overrides: Mapping[str, object], gpu_name: str) -> Amounts:
    """
    Read what a submission overrides.

    Raises:
        PermanentError: It is not well formed.
    """
    resources = copied(child(overrides, "resources"))
    unknown = sorted(set(resources) - {"requests", "limits"})
    if unknown:
        raise bad(f"overrides.resources.{unknown[0]}", "is unknown: use requests and limits")
    return Amounts.of(resources, gpu_name, "overrides.resources")


def _pair(name: str, levels: Sequence[Amounts]) -> tuple[str, str]:
    request, request_level = _first(name, [level.requests for level in levels])
    limit, limit_level = _first(name, [level.limits for level in levels])
    if limit is None or request is None:
        one = request or limit or ""
        return one, one
    if request_level == len(levels) - 1 and limit_level < request_level:
        return limit, limit  # a default is no wish: who says only a limit asks for all of it
    if amount(request, name) <= amount(limit, name):
        return request, limit
    return (request, request) if request_level < limit_level else (limit, limit)


def _first(name: str, levels: Sequence[Mapping[str, str]]) -> tuple[str | None, int]:
    found = ((values[name], place) for place, values in enumerate(levels) if name in values)
    return next(found, (None, len(levels)))


def _at_most(value: str, bound: str | None) -> str:
    if bound is None or not amount(bound, "max_resources"):
        return value
    return bound if amount(value, "resources") > amount(bound, "max_resources") else value
