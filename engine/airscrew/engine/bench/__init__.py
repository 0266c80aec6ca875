"""
Measurements of the engine on the machine that it is on.

``engine``, ``inflight``, ``startup`` and ``overhead`` each have ``async def measure(options) -> dict``,
whose keys are the figures that ``airscrew bench`` prints. Nothing here MUST be imported by any other command.
"""

from __future__ import annotations

import msgspec


class BenchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is measured.

    Attributes:
        tasks: How many tasks.
        store: ``memory`` or ``sqlite:PATH``; empty for a new sqlite file in ``directory``.
        repeat: How often, for ``startup`` and ``overhead``.
        directory: A folder for files, made for the run and removed after it.
        metrics: Whether the engine counts as it does where metrics are read.
    """

    tasks: int = 1000
    store: str = ""
    repeat: int = 5
    directory: str = ""
    metrics: bool = False
