"""
How an engine is, for those who watch over it: has it begun, does its loop run, may work be sent to it.

``state`` decides, purely; ``beats`` keeps it up to date from the engine's loop; ``server`` tells it over HTTP from a
thread of its own, so that an engine whose loop stands still can still say so. Nothing here MUST act on the engine: what
is done about an engine that is not well is decided by those who ask.
"""

from airscrew.engine.vitals.state import Answer, Instruments, Vitals

__all__ = ["Answer", "Instruments", "Vitals"]
