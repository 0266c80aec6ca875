"""
What is noted beside an attempt's files before a job is asked for that can only be found again by its key.

A lost start is resolved by ``find``, which is not given the template: the note holds what the state was to be. It is
only written for the ``Findable`` declaration.
"""

from __future__ import annotations

from typing import cast

import msgspec

from airscrew.engine.executor import TaskContext
from airscrew.plugins.webapi.plugin import StateT


def _uri(context: TaskContext[StateT], executor_id: str) -> str:
    return f"{context.locations.output_prefix}/{executor_id}.json"  # not among the blobs: a job may overwrite those


async def write_note(context: TaskContext[StateT], executor_id: str, draft: StateT) -> None:
    """Write the state as it is before there is a job. Idempotent."""
    await context.data.write_bytes(_uri(context, executor_id), msgspec.json.encode(draft))


async def read_note(context: TaskContext[StateT], executor_id: str, state_type: type[object]) -> StateT | None:
    """
    Read the note; None when there is none.

    Raises:
        msgspec.ValidationError: It was changed by somebody.
    """
    try:
        raw = await context.data.read_bytes(_uri(context, executor_id))
    except FileNotFoundError:
        return None
    return cast("StateT", msgspec.json.decode(raw, type=state_type))
