"""
Kinds of objects and where they are. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Kind:
    """
    A kind of objects.

    Attributes:
        group: Empty for the core.
        version: ``v1``.
        kind: ``Pod``.
        plural: ``pods``; as the discovery tells it for kinds that are not built in.
    """

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """As manifests name it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", part: str = "") -> str:
        """
        Say where objects of this kind are.

        Args:
            namespace: Empty for those of all namespaces.
            name: Of one object; empty for all.
            part: ``status``, ``log``; empty for the object.
        """
        pieces = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace:
            pieces += ["namespaces", namespace]
        pieces.append(self.plural)
        pieces += [piece for piece in (name, part) if piece]
        return "/" + "/".join(quote(piece, safe="") for piece in pieces)

    @override
    def __str__(self) -> str:
        return f"{self.kind}.{self.api_version}"


POD = Kind("", "v1", "Pod", "pods")
EVENT = Kind("", "v1", "Event", "events")
