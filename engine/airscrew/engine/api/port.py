"""
The engine's interface: one Protocol.

``EngineApi`` is implemented by the engine in its own process, and by the gRPC client for everybody else: the command
line and embedding programs cannot tell which one they hold.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator
from typing import Protocol

from airscrew.engine.api.model import (
    ExecutionView,
    ExecutorView,
    LeakView,
    ListReply,
    ListRequest,
    LoadReply,
    LogChunk,
    OutputsView,
    QuotaView,
    SubmitReply,
    SubmitRequest,
)


class EngineApi(Protocol):
    """
    What can be asked of an engine. All methods are idempotent; all may wait for the store or the network.

    Every method raises ``ApiError``; its message is one line that names the thing and the way out.
    """

    async def submit(self, request: SubmitRequest) -> SubmitReply:
        """Accept an execution; when this returns it is durable. The same name and request again answers the same."""
        ...

    async def get(self, execution: str) -> ExecutionView:
        """Show an execution."""
        ...

    async def list(self, request: ListRequest) -> ListReply:
        """Show a page of executions, newest name order within a namespace."""
        ...

    def watch(self, execution: str) -> AsyncIterator[ExecutionView]:
        """Show an execution now and after each change, until it is over."""
        ...

    async def outputs(self, execution: str) -> OutputsView:
        """Read inputs and outputs."""
        ...

    async def kill(self, execution: str, reason: str, *, force: bool = False) -> None:
        """Ask that an execution ends; ``force`` makes it terminal at once with its ledger entry open."""
        ...

    async def retry(self, execution: str, *, force: bool = False) -> SubmitReply:
        """Run a terminal execution again under a new name, or go on with a quarantined one."""
        ...

    def logs(
        self, execution: str, *, attempt: int | None = None, follow: bool = False, metrics: bool = False
    ) -> AsyncIterator[LogChunk]:
        """Read an attempt's log from its begin, with ``follow`` until it ends; or, as JSON lines, its metrics."""
        ...

    async def leaks(self) -> builtins.list[LeakView]:
        """List open ledger entries of attempts that are over."""
        ...

    async def clear_leak(self, key: str) -> None:
        """Strike off an ``unknown`` entry after a person has looked."""
        ...

    async def prune(self, *, older_than_seconds: float, keep: int = 0, dry_run: bool = False) -> builtins.list[str]:
        """Delete records, logs and local outputs of executions that ended long ago; returns their names."""
        ...

    async def executors(self) -> builtins.list[ExecutorView]:
        """List the installed executors."""
        ...

    async def load_executors(self) -> LoadReply:
        """Take in executors that were installed since the engine began; those that it has stay as they are."""
        ...

    async def quotas(self) -> builtins.list[QuotaView]:
        """List the quotas, and those of their shares that are in use or waited for."""
        ...
