"""Requests about objects: what a busy API server asks for, and what was refused."""

from __future__ import annotations

import pytest
from tests.support.played_api import PlayedApi

from airscrew.engine.clock import LoopClock
from airscrew.plugins.kubernetes.api.client import ObjectClient
from airscrew.plugins.kubernetes.api.connection import Reply
from airscrew.plugins.kubernetes.api.errors import ApiError
from airscrew.plugins.kubernetes.api.kinds import POD

pytestmark = pytest.mark.virtual_time

BUSY = b'{"kind": "Status", "message": "too many requests", "reason": "TooManyRequests"}'


def busy_at_first(times: int, seconds: float) -> PlayedApi:
    api, left = PlayedApi(), [times]

    def answer(method: str, path: str, body: bytes | None) -> Reply:
        left[0] -= 1
        return Reply(429, BUSY, seconds) if left[0] >= 0 else Reply(200, b"{}")

    api.answer = answer
    return api


async def test_a_busy_api_server_is_asked_again_after_the_time_it_wants() -> None:
    api, clock = busy_at_first(1, 7.0), LoopClock()
    began = clock.monotonic()

    found = await ObjectClient(api, POD).get("team", "one")

    assert found == b"{}"
    assert clock.monotonic() - began == 7.0


async def test_one_that_is_busy_for_long_is_left_to_who_asked() -> None:
    api = busy_at_first(9, 600.0)

    with pytest.raises(ApiError) as caught:
        await ObjectClient(api, POD).delete("team", "one", "uid")

    assert (caught.value.status, caught.value.retry_after) == (429, 600.0)
    assert api.counts["DELETE"] == 1


async def test_a_creation_is_sent_once_whatever_is_answered() -> None:
    api = busy_at_first(1, 1.0)

    reply = await ObjectClient(api, POD).create("team", b"{}")

    assert (reply.status, reply.retry_after) == (429, 1.0)
    assert api.counts["POST"] == 1
