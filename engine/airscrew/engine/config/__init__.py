"""
What an engine is told: its settings, and how they are read from a file, the environment and the command line.

Guarantees: an unknown key, a wrong type or a value that cannot be is one line that names the key and, for a slip of the
pen, the nearest known one. Nothing here MUST open a store, or know an executor.
"""

from airscrew.engine.config.loading import default_home, find_file, load_settings, to_settings
from airscrew.engine.config.settings import (
    Api,
    EngineSettings,
    Health,
    Log,
    Quota,
    Retention,
    Retries,
    Secrets,
    Timeouts,
    WorkKind,
    WorkScope,
)

__all__ = [
    "Api",
    "EngineSettings",
    "Health",
    "Log",
    "Quota",
    "Retention",
    "Retries",
    "Secrets",
    "Timeouts",
    "WorkKind",
    "WorkScope",
    "default_home",
    "find_file",
    "load_settings",
    "to_settings",
]
