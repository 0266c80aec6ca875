"""
What a Pod refers to and the cluster does not have, read from what the kubelet says of it. Pure.

    secret "team" not found                                          a Secret that is not there
    couldn't find key token in Secret ns/team                        a key that it does not have
    MountVolume.SetUp failed for volume "v" : secret "team" not found    the same for a file, in an event
    MountVolume.SetUp failed for volume "v" : references non-existent secret key: token
    configmap "settings" not found, couldn't find key a in ConfigMap ns/settings
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OBJECT = re.compile(r'\b(?P<kind>secret|configmap)s? "(?P<name>[^"]+)" not found', re.IGNORECASE)
_KEY = re.compile(
    r"couldn't find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) (?:\S+/)?(?P<name>[^/\s]+)", re.IGNORECASE
)
_FILE = re.compile(r"references non-existent (?P<kind>secret|config) key: (?P<key>\S+)", re.IGNORECASE)
_KINDS = {"secret": "Secret", "configmap": "ConfigMap", "config": "ConfigMap"}


@dataclass(frozen=True, slots=True)
class Missing:
    """
    What is not there.

    Attributes:
        kind: ``Secret`` or ``ConfigMap``.
        name: Its name; empty when the kubelet does not tell.
        key: The key that it does not have; empty when it is missing itself.
    """

    kind: str
    name: str = ""
    key: str = ""

    @property
    def code(self) -> str:
        """The code of the failure that it is."""
        return f"{self.kind}NotFound"

    @property
    def reason(self) -> str:
        """One line for people."""
        named = f"{self.kind} {self.name!r}" if self.name else f"one of its {self.kind}s"
        if self.key:
            return f"the task needs key {self.key!r} of {named}, which does not have it: add it, and submit again"
        return f"the task needs {named}, which is not in its namespace: create it, and submit again"


def read_missing(message: str) -> Missing | None:
    """Read what is missing from a message of the kubelet; None when that is not what it says."""
    for pattern in (_KEY, _OBJECT, _FILE):
        found = pattern.search(message)
        if found is not None:
            parts = found.groupdict()
            kind = _KINDS[parts["kind"].lower()]
            return Missing(kind, parts.get("name", ""), parts.get("key", ""))
    return None
