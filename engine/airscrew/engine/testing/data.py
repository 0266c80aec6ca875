"""
A data plane and a resource manager in memory, for executors under test.

Files live in a dictionary by URI; those with the scheme ``file`` are real files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from airscrew.engine.data.render import literal_text, references, render, variable_values
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Locations

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap


@dataclass(slots=True, kw_only=True)
class MemoryData:
    """
    The data plane of one attempt.

    Attributes:
        literals: The inputs.
        locations: Where the attempt reads and writes.
        key: The attempt's key.
        namespace: The attempt's namespace.
        secrets: Values by ``key`` or ``group/key``.
        files: What was written, by URI.
    """

    literals: LiteralMap
    locations: Locations
    key: str
    namespace: str
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])

    async def read_inputs(self) -> LiteralMap:
        """Read the inputs: a copy, so that nobody changes another call's."""
        from flyteidl.core.literals_pb2 import LiteralMap

        copy = LiteralMap()
        copy.CopyFrom(self.literals)
        return copy

    async def place_inputs(self) -> None:
        """Write the inputs to their location."""
        await self.write_bytes(self.locations.input_uri, self.literals.SerializeToString(deterministic=True))

    async def render(self, texts: Sequence[str]) -> list[str]:
        """Replace template variables, by the engine's own rules."""
        wanted = references(texts)
        literals = self.literals.literals
        inputs = {name: literal_text(literals[name], name) for name in wanted.inputs if name in literals}
        return render(texts, variable_values(self.locations, key=self.key, namespace=self.namespace), inputs)

    async def read_secret(self, group: str, key: str) -> str:
        """Read a secret that the test has given."""
        name = f"{group}/{key}" if group else key
        if name not in self.secrets:
            raise PermanentError(f"there is no secret {name!r}", code="SecretNotFound")
        return self.secrets[name]

    async def read_bytes(self, uri: str) -> bytes:
        """Read a file."""
        if uri.startswith("file:"):
            return _path(uri).read_bytes()
        if uri not in self.files:
            raise FileNotFoundError(uri)
        return self.files[uri]

    async def write_bytes(self, uri: str, data: bytes) -> None:
        """Write a file."""
        if uri.startswith("file:"):
            path = _path(uri)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        else:
            self.files[uri] = data


def make_locations(root: str, execution: str, attempt: int) -> Locations:
    """Lay out an attempt's locations below a root URI; with a ``file:`` root its work directory is made."""
    base = f"{root.rstrip('/')}/{execution}"
    here = f"{base}/{attempt}"
    work = _path(f"{here}/work") if root.startswith("file:") else None
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
    return Locations(
        input_uri=f"{base}/inputs/inputs.pb",
        input_prefix=f"{base}/inputs",
        output_prefix=f"{here}/outputs",
        raw_output_prefix=f"{here}/raw",
        checkpoint_prefix=f"{here}/checkpoint",
        previous_checkpoint_prefix=f"{base}/{attempt - 1}/checkpoint" if attempt else "",
        template_uri=f"{base}/task.pb",
        work_directory=str(work or ""),
    )


def _path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))
