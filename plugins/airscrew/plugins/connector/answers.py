"""
What a connector service tells, without its wire form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import LogLink, Phase

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap


@dataclass(frozen=True, slots=True)
class Served:
    """A task type that a connector says it runs; a sync one answers a call with the result."""

    task_type: str
    version: int = 0
    is_sync: bool = False

    @property
    def title(self) -> str:
        """As people write it: ``bigquery`` or ``bigquery/1``."""
        return f"{self.task_type}/{self.version}" if self.version else self.task_type


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """
    How a job stands.

    Attributes:
        phase: UNDEFINED when it was not heard of yet.
        message: What the connector says.
        logs: Links for a person.
        outputs: The outputs themselves; None when they lie at the output prefix, or there are none.
        custom_info: Whatever else it tells, as JSON.
        error_code: Its own word for why the job failed.
        error_kind: Whose failure it says it is.
        complaint: Why its last answers cannot be right; empty when they can.
        complaints: So many of them came in a row.
        missing: What was said when the provider did not know the job; empty when it did.
        misses: So often in a row it did not.
        missing_since: When it did not first, monotonic.
        missing_seconds: For how long it has not known it.
        is_gone: Whether that is long enough.
    """

    phase: Phase = Phase.UNDEFINED
    message: str = ""
    logs: tuple[LogLink, ...] = ()
    outputs: LiteralMap | None = None
    custom_info: Mapping[str, object] = field(default_factory=dict[str, object])
    error_code: str = ""
    error_kind: ErrorKind = ErrorKind.USER
    complaint: str = ""
    complaints: int = 0
    missing: str = ""
    misses: int = 0
    missing_since: float = 0.0
    missing_seconds: float = 0.0
    is_gone: bool = False
