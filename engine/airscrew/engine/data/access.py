"""
What an executor's context reaches of the data plane: the data of one attempt.

Guarantees:

1. Inputs are fetched once for the life of the object, however often they are read; each reader gets a copy.
2. ``inputs.pb`` and ``task.pb`` are written when somebody needs them, with the bytes that were submitted. Writing them
   again changes nothing: they are the same for all attempts of an execution.
3. Nothing of a secret is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from typing_extensions import override

from airscrew.engine.data.errors import FileMissingError, shown
from airscrew.engine.data.locations import run_name
from airscrew.engine.data.render import literal_text, references, render, variable_values
from airscrew.engine.data.secrets import Secrets
from airscrew.engine.data.storage import Storage
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor.context import DataAccess, Locations
from airscrew.idl.ids import AttemptKey, ExecutionId
from airscrew.idl.wire import WireError, WireForm

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

    from airscrew.idl.template import TaskTemplate


@final
@dataclass(slots=True, kw_only=True)
class AttemptData(DataAccess):
    """
    The data of one attempt.

    Attributes:
        storage: Where files lie.
        secrets: Where secrets are found.
        locations: Where the attempt reads and writes.
        execution: The execution's name.
        key: The attempt's key.
        wire: The form of the task, and of its inputs and outputs.
        input_uri: Where the inputs were submitted; empty for a task without inputs.
        template: Loads the task's template.
        accepted_at: When the execution was accepted, Unix seconds.
        overrides: What the submission overrides.
    """

    storage: Storage
    secrets: Secrets
    locations: Locations
    execution: ExecutionId
    key: AttemptKey
    wire: WireForm = WireForm.FLYTE1
    input_uri: str = ""
    template: Callable[[], Awaitable[TaskTemplate]]
    accepted_at: float = 0.0
    overrides: Mapping[str, object] = field(default_factory=dict[str, object])
    _inputs: bytes | None = field(default=None, init=False, repr=False)

    @override
    async def read_inputs(self) -> LiteralMap:
        """
        Read the inputs.

        Raises:
            StorageUnavailableError: Ask again later.
            PermanentError: They are not there, or are none.
        """
        from flyteidl.core.literals_pb2 import LiteralMap

        from airscrew.idl.literals import decode_literal_map

        try:
            return LiteralMap(literals=decode_literal_map(await self._input_bytes(), self.wire))
        except WireError as error:
            raise PermanentError(f"the inputs at {shown(self.input_uri)}: {error}", code="InputsInvalid") from error

    @override
    async def place_inputs(self) -> None:
        """
        Make sure that the inputs lie at ``locations.input_uri``.

        Raises:
            StorageUnavailableError: Ask again later.
            PermanentError: They are not there, or nothing can be written.
        """
        target = self.locations.input_uri
        if self.input_uri == target or await self.storage.exists(target):
            return
        await self.storage.write(target, await self._input_bytes(), durable=False)

    @override
    async def render(self, texts: Sequence[str]) -> list[str]:
        """
        Replace template variables in copies of the texts.

        Raises:
            StorageUnavailableError: Ask again later.
            PermanentError: An unknown variable, or an input that has no textual form.
        """
        wanted = references(texts)
        if not wanted.variables and not wanted.inputs:
            return list(texts)
        if wanted.template:
            await self._place_template()
        inputs = await self._input_texts(wanted.inputs) if wanted.inputs else {}
        return render(texts, self._values(), inputs)

    @override
    async def read_secret(self, group: str, key: str) -> str:
        """
        Read a secret's value.

        Raises:
            PermanentError: There is no such secret; names group and key.
        """
        return self.secrets.read(group, key)

    @override
    async def read_bytes(self, uri: str) -> bytes:
        """
        Read a whole file.

        Raises:
            FileMissingError: Nothing lies there; a ``FileNotFoundError`` too.
            StorageUnavailableError: Ask again later.
            PermanentError: It cannot be read, or is too large.
        """
        return await self.storage.read(uri)

    @override
    async def write_bytes(self, uri: str, data: bytes) -> None:
        """
        Write a whole file in place of what lay there.

        Raises:
            StorageUnavailableError: It may or may not have been written.
            PermanentError: It cannot be written there.
        """
        await self.storage.write(uri, data)

    def _values(self) -> dict[str, str]:
        is_run = self.wire is WireForm.FLYTE2
        return variable_values(
            self.locations,
            key=self.key,
            namespace=self.execution.namespace,
            run_name=run_name(self.locations) if is_run else self.execution.name,
            run_start=self.accepted_at,
            overrides=self.overrides,
        )

    async def _input_bytes(self) -> bytes:
        if self._inputs is None:
            try:
                self._inputs = await self.storage.read(self.input_uri) if self.input_uri else b""
            except FileMissingError as error:
                raise PermanentError(f"the inputs are gone: {error}", code="InputsNotFound") from error
        return self._inputs

    async def _input_texts(self, names: frozenset[str]) -> dict[str, str]:
        literals = (await self.read_inputs()).literals
        return {name: literal_text(literals[name], name) for name in sorted(names) if name in literals}

    async def _place_template(self) -> None:
        target = self.locations.template_uri
        if not await self.storage.exists(target):
            await self.storage.write(target, (await self.template()).raw, durable=False)
