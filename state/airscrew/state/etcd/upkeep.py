"""
When to compact, and whether there is room: pure.

etcd keeps all history until it is told to forget it, and refuses every write once its file reaches the quota. So
the store has it forget what is both old and more than enough, as the API server of Kubernetes does, and says in
time when the file comes near the quota.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from airscrew.state.etcd.options import EtcdOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """
    What a member's file takes.

    Attributes:
        total: The whole file, which is what counts towards the quota.
        in_use: What of it holds data.
        quota: What it may take at most.
    """

    total: int = 0
    in_use: int = 0
    quota: int = 0

    def is_short(self, share: float) -> bool:
        """Tell whether so large a share of the quota is taken."""
        return self.quota > 0 and self.total >= share * self.quota


@dataclass(slots=True)
class History:
    """
    Which revision was the newest at which time.

    Attributes:
        options: How much is kept.
    """

    options: EtcdOptions
    _marks: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])

    def note(self, now: float, revision: int) -> int:
        """Note the newest revision, and return up to which one to compact now; 0 for none."""
        self._marks.append((now, revision))
        old = 0
        while self._marks and self._marks[0][0] <= now - self.options.compact_seconds:
            old = self._marks.popleft()[1]
        target = min(old, revision - self.options.keep_revisions)
        return max(target, 0)
