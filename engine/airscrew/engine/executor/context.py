"""
What the engine gives an executor along with each call.

A context belongs to one call and is not kept. Its plain attributes are the same in every call of an attempt; its
methods reach the data plane, the secrets and the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from airscrew.engine.clock import Clock
from airscrew.idl.ids import AttemptKey, ExecutionId, Uid

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

StateT = TypeVar("StateT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Locations:
    """
    Where an attempt reads and writes, as URIs without a trailing slash.

    Attributes:
        input_uri: ``inputs.pb``.
        input_prefix: What it lies below.
        output_prefix: Below it: ``outputs.pb``, ``error.pb``, ``futures.pb``, ``deck.html``. One an attempt.
        raw_output_prefix: Blobs that outputs point to. One an attempt.
        checkpoint_prefix: Checkpoints of this attempt.
        previous_checkpoint_prefix: Those of the attempt before; empty for the first.
        template_uri: ``task.pb``; written only when something refers to it.
        work_directory: A folder on this machine for the attempt alone, when the data plane has one; else empty.
    """

    input_uri: str
    input_prefix: str
    output_prefix: str
    raw_output_prefix: str
    checkpoint_prefix: str
    previous_checkpoint_prefix: str
    template_uri: str
    work_directory: str = ""


class DataAccess(Protocol):
    """What a context reaches of the data plane."""

    async def read_inputs(self) -> LiteralMap:
        """Read the inputs."""
        ...

    async def place_inputs(self) -> None:
        """Make sure that the inputs lie at ``locations.input_uri``."""
        ...

    async def render(self, texts: Sequence[str]) -> list[str]:
        """Replace template variables."""
        ...

    async def read_secret(self, group: str, key: str) -> str:
        """Read a secret's value."""
        ...

    async def read_bytes(self, uri: str) -> bytes:
        """Read a whole file."""
        ...

    async def write_bytes(self, uri: str, data: bytes) -> None:
        """Write a whole file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext(Generic[StateT]):
    """
    One call's view of an attempt.

    Attributes:
        execution: The execution's name.
        uid: Its UID.
        attempt: The attempt's number, 0 for the first.
        key: The attempt's key: name, idempotency token and label of all that the attempt creates.
        namespace: Where its objects belong.
        labels: For all objects of the attempt.
        annotations: For all objects of the attempt.
        service_account: The identity to run under; empty for the default.
        task_name: The template's name.
        task_type: The template's type.
        task_id: project, domain, name, version, org of the template's id.
        locations: Where it reads and writes.
        environment: Variables for the task's processes, the FLYTE_INTERNAL_* ones among them; no secrets.
        interruptible: Whether this attempt may be put on capacity that can be taken away.
        max_attempts: How many attempts the template allows.
        overrides: What the submission overrides, as plain JSON: resources, image, config.
        deadline: When the attempt's time is over, Unix seconds; None without a limit.
        previous_state: The last persisted state, typed; None in the first ``start_task``.
        clock: The time.
        wake: Push the execution back into the queue now; thread-safe, cheap, may be kept and called later.
        data: The data plane, as the methods below use it.
        raw_state: ``previous_state`` as stored.
        message: In ``start_task``: ``template.custom`` as the executor's ``custom_message``, when it declares one.
    """

    execution: ExecutionId
    uid: Uid
    attempt: int
    key: AttemptKey
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    service_account: str = ""
    task_name: str = ""
    task_type: str = ""
    task_id: Mapping[str, str] = field(default_factory=dict[str, str])
    locations: Locations
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    interruptible: bool = False
    max_attempts: int = 1
    overrides: Mapping[str, object] = field(default_factory=dict[str, object])
    deadline: float | None = None
    previous_state: StateT | None = None
    clock: Clock
    wake: Callable[[], None]
    data: DataAccess
    raw_state: Mapping[str, object] | None = None
    message: object | None = None

    def get_custom_state(self) -> dict[str, object]:
        """Return the last persisted custom state as a plain map; empty before the first one."""
        return dict(self.raw_state or {})

    async def inputs(self) -> LiteralMap:
        """
        Read the inputs. May wait for storage; the result is cached for the call.

        Raises:
            PermanentError: They cannot be read, and never will.
        """
        return await self.data.read_inputs()

    async def place_inputs(self) -> None:
        """Make sure that ``inputs.pb`` lies at ``locations.input_uri`` for a process or container. Idempotent."""
        await self.data.place_inputs()

    async def render(self, texts: Sequence[str]) -> list[str]:
        """
        Replace template variables (``{{.input}}``, ``{{.inputs.x}}``...) in copies of the texts.

        ``task.pb`` is written only if a text refers to it.

        Raises:
            PermanentError: An unknown variable, or an input that has no textual form.
        """
        return await self.data.render(texts)

    async def secret(self, key: str, group: str = "") -> str:
        """
        Read a secret by reference. Never put it into state, reasons, logs or arguments.

        Raises:
            PermanentError: There is no such secret; names group and key.
        """
        return await self.data.read_secret(group, key)
