"""
What a membership asks of whoever works on its units.
"""

from __future__ import annotations

from typing import Protocol


class Held(Protocol):
    """What is done with units; all of it by whoever runs the engine."""

    async def gained(self, unit: str, *, given: bool) -> None:
        """
        Begin to work on a unit, or go on with it after ``let_go`` came to nothing.

        Called once a time, but perhaps more than once for a unit. May wait for the store as long as that takes.

        Args:
            unit: Which.
            given: Whether its owner gave it away; else that one may still be at work without knowing.
        """
        ...

    async def let_go(self, unit: str) -> None:
        """Take up nothing new of a unit, and return when all that is under way for it has."""
        ...

    def lost(self, unit: str) -> None:
        """Forget a unit: it is another's."""
        ...

    def told_time(self, time: float) -> None:
        """Hear the engine's time from another member."""
        ...
