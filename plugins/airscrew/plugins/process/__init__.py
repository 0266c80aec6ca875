"""
``process``: a task's command as a local process that outlives the engine.

A supervisor of its own session claims the attempt, runs the command in a group of its own, writes down how it ended
and leaves nothing behind; the engine finds it again by its lock after any restart. The container's image is not used:
the command is looked up on this machine. Nothing here MUST start a thread per task, keep a secret on a disk, or send
a signal to a process that is not certainly the attempt's own.
"""

from __future__ import annotations

from airscrew.plugins.process.executor import ProcessExecutor
from airscrew.plugins.process.spawner import Spawner
from airscrew.plugins.process.state import ProcessState

__all__ = ["ProcessExecutor", "ProcessState", "Spawner"]
