"""
Python's garbage collector in a process whose only work is the engine.

Guarantees: only programs of our own call this; an engine that is opened within somebody else's leaves the collector as
it is. Reference counts free what the loop makes and drops; the collector is there for cycles, which are few: at
Python's own threshold of 700 objects it runs for every few tasks and takes a tenth of the time.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 25_000
"""After so many more objects than were freed the youngest are looked through; a few megabytes at most."""


def look_seldom() -> None:
    """Leave alone what is loaded by now, and look for cycles seldom. Called once, when all is imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
