"""
What is made ready before an executor is asked to start a task.
"""

from __future__ import annotations

from airscrew.engine.controller.live import Live
from airscrew.engine.executor import AnyContext


async def fetch_inputs(live: Live, context: AnyContext) -> None:
    """
    Read inputs that lie elsewhere before the executor is called: their storage may be away.

    That must not make its start unknown.

    The access keeps them, so the executor does not read them again.
    """
    uri = live.options.input_uri
    if uri and not uri.startswith("data:"):
        await context.data.read_inputs()
