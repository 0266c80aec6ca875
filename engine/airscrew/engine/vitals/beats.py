"""
The loops that keep an engine's vitals up to date; they end only when they are cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from airscrew.engine.metrics.names import LOOP_LAG
from airscrew.engine.vitals.state import Instruments, Vitals
from airscrew.state import keys
from airscrew.state.errors import StoreError
from airscrew.state.store import Store

BEAT_SECONDS = 0.5
STORE_LOOK_SECONDS = 2.0
STORE_ANSWER_SECONDS = 5.0


async def beat(instruments: Instruments) -> None:
    """Note that the loop runs, and how late it came back each time."""
    loop, vitals = asyncio.get_running_loop(), instruments.vitals
    while True:
        due = loop.time() + BEAT_SECONDS
        await asyncio.sleep(BEAT_SECONDS)
        vitals.beat_at = vitals.monotonic()
        instruments.meters.observe(LOOP_LAG, max(loop.time() - due, 0.0))


async def look_at_store(vitals: Vitals, store: Store, is_certain: Callable[[], bool]) -> None:
    """
    Ask the store for a key now and then, and note whether it answers.

    Args:
        vitals: Where it is noted.
        store: The store.
        is_certain: Whether outside calls may begin: another engine cannot have taken over.
    """
    while True:
        vitals.store_trouble = await _trouble(store)
        if not vitals.store_trouble and not is_certain():
            vitals.store_trouble = "the lease was not renewed in time: another engine may have taken over"
        await asyncio.sleep(STORE_LOOK_SECONDS)


async def _trouble(store: Store) -> str:
    try:
        async with asyncio.timeout(STORE_ANSWER_SECONDS):
            await store.get(keys.INSTALLATION)
    except TimeoutError:
        return f"the store did not answer in {STORE_ANSWER_SECONDS:g} s"
    except StoreError as error:
        return " ".join(str(error).split())
    return ""
