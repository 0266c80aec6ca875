"""
The secrets of one provider, by reference in the configuration and by value in memory alone.

Guarantee: what ``clean`` returns holds no value that the vault knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from airscrew.engine.executor import TaskContext

StateT = TypeVar("StateT")

HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret lies."""

    key: str
    group: str = ""


@dataclass(slots=True)
class Vault:
    """
    Holds the values of secrets while the process lives.

    Attributes:
        wanted: What is needed, by the plugin's own names.
    """

    wanted: Mapping[str, SecretRef]
    _values: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    _known: set[str] = field(default_factory=set[str], repr=False)

    async def read(self, context: TaskContext[StateT]) -> None:
        """
        Read what is not known yet, by a call's context.

        Raises:
            PermanentError: There is no such secret.
        """
        for name, reference in self.wanted.items():
            if name not in self._values:
                value = await context.secret(reference.key, reference.group)
                self._values[name] = value
                if value:
                    self._known.add(value)

    def get(self, name: str) -> str:
        """Return a value; empty before it was read."""
        return self._values.get(name, "")

    def forget(self) -> None:
        """Read all values again at the next call: they may have been replaced."""
        self._values.clear()

    def clean(self, text: str) -> str:
        """Take every value that was ever known out of a text, the longest first."""
        for value in self._longest_first():
            text = text.replace(value, HIDDEN)
        return text

    def holds(self, text: str) -> bool:
        """Tell whether a text holds a value."""
        return any(value in text for value in self._known)

    def clean_tree(self, value: object) -> object:
        """Take every value out of all texts of plain JSON."""
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, Mapping):
            members = cast("Mapping[str, object]", value)
            return {self.clean(name): self.clean_tree(part) for name, part in members.items()}
        if isinstance(value, list | tuple):
            return [self.clean_tree(part) for part in cast("Sequence[object]", value)]
        return value

    def _longest_first(self) -> Sequence[str]:
        return sorted(self._known, key=len, reverse=True)
