"""
What is noted beside an attempt's files before a job is asked for that can only be found again by its key.

A lost start is resolved by ``find``, which is not given the template: the note says which service was asked and what
the outputs are. It is only written for the ``findable`` declaration.
"""

from __future__ import annotations

import msgspec

from airscrew.engine.executor import TaskContext
from airscrew.plugins.http_job.state import HttpJobState


def _uri(context: TaskContext[HttpJobState]) -> str:
    return f"{context.locations.raw_output_prefix}/http_job.json"


async def write_note(context: TaskContext[HttpJobState], prepared: HttpJobState) -> None:
    """Write the state as it is before there is a job. Idempotent."""
    await context.data.write_bytes(_uri(context), msgspec.json.encode(prepared))


async def read_note(context: TaskContext[HttpJobState]) -> HttpJobState | None:
    """
    Read the note; None when there is none.

    Raises:
        msgspec.ValidationError: It was changed by somebody.
    """
    try:
        raw = await context.data.read_bytes(_uri(context))
    except FileNotFoundError:
        return None
    return msgspec.json.decode(raw, type=HttpJobState)
