"""
Which executor runs a task: found by entry point or registered, resolved by task type, one instance each per process.

Nothing here MUST call an executor beyond making it and initialising it once.
"""

from airscrew.engine.registry.arrivals import Arrived, Known, disabled_view, look_for_arrivals
from airscrew.engine.registry.discovery import discover, look_again
from airscrew.engine.registry.registry import Candidate, Registry
from airscrew.engine.registry.resolution import Resolution, nearest, resolve

__all__ = [
    "Arrived",
    "Candidate",
    "Known",
    "Registry",
    "Resolution",
    "disabled_view",
    "discover",
    "look_again",
    "look_for_arrivals",
    "nearest",
    "resolve",
]
