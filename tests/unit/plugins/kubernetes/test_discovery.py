"""A kind is looked up by its name, once in a while."""

from __future__ import annotations

import json

import pytest
from tests.support.played_api import PlayedApi

from airscrew.engine.clock import LoopClock
from airscrew.engine.errors import PermanentError
from airscrew.engine.testing.virtual_time import elapse
from airscrew.plugins.kubernetes.api.connection import Reply
from airscrew.plugins.kubernetes.api.discovery import KEPT_SECONDS, Discovery
from airscrew.plugins.kubernetes.api.errors import ApiError
from airscrew.plugins.kubernetes.api.kinds import POD, Kind

pytestmark = pytest.mark.virtual_time

RESOURCES = {"resources": [{"name": "rayjobs/status", "kind": "RayJob"}, {"name": "rayjobs", "kind": "RayJob"}]}
ANSWERS = {"/apis/ray.io": {"preferredVersion": {"version": "v1"}}, "/apis/ray.io/v1": RESOURCES}
RAY = Kind("ray.io", "", "RayJob", "")


def api() -> PlayedApi:
    played = PlayedApi()

    def answer(method: str, path: str, body: bytes | None) -> Reply:
        return Reply(200, json.dumps(ANSWERS[path]).encode()) if path in ANSWERS else Reply(404)

    played.answer = answer
    return played


async def test_plural_and_preferred_version_are_found_and_kept() -> None:
    played = api()
    discovery = Discovery(played, LoopClock())

    found = [await discovery.resolve(RAY) for _ in range(3)]

    assert found == [Kind("ray.io", "v1", "RayJob", "rayjobs")] * 3
    assert played.counts["GET"] == 2

    await elapse(KEPT_SECONDS + 1)
    await discovery.resolve(RAY)

    assert played.counts["GET"] == 4


async def test_a_kind_that_says_all_is_not_looked_up() -> None:
    played = api()

    assert await Discovery(played, LoopClock()).resolve(POD) is POD
    assert played.counts == {}


@pytest.mark.parametrize("kind", [Kind("ray.io", "v1", "RayThing", ""), Kind("none.io", "v1", "RayJob", "")])
async def test_what_is_not_there_is_named(kind: Kind) -> None:
    with pytest.raises(PermanentError, match=f"no kind {kind.kind} in {kind.group}/v1"):
        await Discovery(api(), LoopClock()).resolve(kind)


async def test_an_api_server_that_does_not_say_is_no_answer() -> None:
    played = api()
    played.answer = lambda *_: Reply(503, b"{}")

    with pytest.raises(ApiError):
        await Discovery(played, LoopClock()).resolve(RAY)
