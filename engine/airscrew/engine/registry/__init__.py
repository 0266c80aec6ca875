"""
Which executor runs a task: found by entry point or registered, resolved by task type, one instance each per process.

Nothing here MUST call an executor beyond making it and initialising it once.
"""

from airscrew.engine.registry.discovery import discover
from airscrew.engine.registry.registry import Candidate, Registry, overrides
from airscrew.engine.registry.resolution import Resolution, nearest, resolve

__all__ = ["Candidate", "Registry", "Resolution", "discover", "nearest", "overrides", "resolve"]
