"""
Which executions an engine works on.
"""

from __future__ import annotations

from airscrew.engine.config import WorkKind, WorkScope
from airscrew.engine.controller.live import Live
from airscrew.idl.ids import ExecutionId


class Scope:
    """Which executions this process works on; grows by what is submitted through it, and by their children."""

    def __init__(self, scope: WorkScope) -> None:
        """Begin with what an engine is told."""
        self._everything = scope.kind is WorkKind.ALL
        self._named = set(scope.executions)

    def add(self, execution: ExecutionId) -> ExecutionId:
        """Work on one more; returns its name."""
        if not self._everything:
            self._named.add(str(execution))
        return execution

    def covers(self, live: Live) -> bool:
        """Tell whether an execution is among them."""
        if self._everything or str(live.execution) in self._named:
            return True
        if live.options.parent in self._named:
            self._named.add(str(live.execution))
            return True
        return bool(live.record.kill) or "kill" in live.requests
