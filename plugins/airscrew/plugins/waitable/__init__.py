"""
``waitable``: tasks that wait for other executions of the same store.

A task names executions (``names``); each is watched in the store, whichever engine has it, and its changes wake those
who wait (``followed``); what is seen of all of them makes the status (``decide``). Nothing here MUST poll.
"""

from __future__ import annotations

from airscrew.plugins.waitable.executor import WaitableExecutor, WaitState

__all__ = ["WaitState", "WaitableExecutor"]
