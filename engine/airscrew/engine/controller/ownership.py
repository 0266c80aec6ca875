"""
Whose executions they are: this engine's alone, or some of them, shard by shard, among several engines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from airscrew.idl.ids import ExecutionId
from airscrew.state.members import Membership, shard_unit
from airscrew.state.records import SCHEMA_VERSION
from airscrew.state.store import Compare

UNCERTAIN_SECONDS = 1.0
"""How soon an engine looks again that was not certain to own what it works on."""


class Ownership(Protocol):
    """What the engine asks before it writes or calls."""

    @property
    def schema(self) -> int:
        """The form of records that is written: one that every engine of the store reads."""
        ...

    @property
    def is_certain(self) -> bool:
        """Whether a call outside may begin now: nobody can have taken over what this engine has."""
        ...

    def owns(self, execution: ExecutionId) -> bool:
        """Tell whether an execution is this engine's, as far as it knows."""
        ...

    def compares(self, execution: ExecutionId) -> Sequence[Compare]:
        """
        Say what each write for an execution compares, so that a former owner writes nothing.

        Raises:
            ShardLostError: It is not this engine's.
        """
        ...

    async def check(self, execution: ExecutionId) -> None:
        """
        Find out whether an execution is still this engine's.

        Raises:
            ShardLostError: It is not.
            StoreUnavailableError: That cannot be told now.
        """
        ...


@dataclass(frozen=True, slots=True)
class SoleOwner(Ownership):
    """All are this engine's: it has the store for itself, and a lock that says so."""

    @property
    @override
    def schema(self) -> int:
        return SCHEMA_VERSION

    @property
    @override
    def is_certain(self) -> bool:
        return True

    @override
    def owns(self, execution: ExecutionId) -> bool:
        return True

    @override
    def compares(self, execution: ExecutionId) -> Sequence[Compare]:
        return ()

    @override
    async def check(self, execution: ExecutionId) -> None:
        return None


@dataclass(frozen=True, slots=True)
class SharedOwner(Ownership):
    """
    Those are this engine's whose shards it has.

    Attributes:
        membership: Says which.
    """

    membership: Membership

    @property
    @override
    def schema(self) -> int:
        return self.membership.schema

    @property
    @override
    def is_certain(self) -> bool:
        return self.membership.is_certain

    @override
    def owns(self, execution: ExecutionId) -> bool:
        return self.membership.owns(shard_unit(execution.shard))

    @override
    def compares(self, execution: ExecutionId) -> Sequence[Compare]:
        return self.membership.compares(shard_unit(execution.shard))

    @override
    async def check(self, execution: ExecutionId) -> None:
        await self.membership.check(shard_unit(execution.shard))
