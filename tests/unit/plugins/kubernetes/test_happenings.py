"""Events about our objects: the last one of each, and nothing of anybody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from tests.support.played_api import PlayedApi

from airscrew.engine.clock import LoopClock
from airscrew.engine.testing.virtual_time import elapse
from airscrew.plugins.kubernetes.api.kinds import POD
from airscrew.plugins.kubernetes.happenings import Happenings

pytestmark = pytest.mark.virtual_time

EVENTS = "/api/v1/namespaces/team/events"


def event(name: str, reason: str, message: str = "") -> dict[str, Any]:
    about = {"kind": "Pod", "name": name, "namespace": "team", "uid": f"uid-{name}"}
    return {"metadata": {"resourceVersion": "7"}, "involvedObject": about, "reason": reason, "message": message}


@asynccontextmanager
async def happenings(api: PlayedApi, woken: list[str]) -> AsyncIterator[Happenings]:
    made = Happenings(
        api,
        POD,
        is_ours=lambda _, name: name.startswith("our"),
        wake=woken.append,
        repeats=frozenset({"FailedMount"}),
        normal=False,
        cluster_wide=False,
        clock=LoopClock(),
        random=Random(1),
    )
    async with made:
        made.follow("team")
        await elapse(1)
        yield made


async def test_the_last_event_about_an_object_of_ours_is_known_and_wakes_its_owner() -> None:
    api, woken = PlayedApi(), list[str]()
    async with happenings(api, woken) as found:
        api.tell(EVENTS, "ADDED", event("our-pod", "FailedScheduling", "0/3 nodes"))
        await elapse(1)

        latest = found.latest("uid-our-pod")

        assert latest is not None
        assert latest.text == "FailedScheduling: 0/3 nodes"
        assert woken == ["our-pod"]


async def test_what_is_about_others_is_dropped() -> None:
    api, woken = PlayedApi(), list[str]()
    async with happenings(api, woken) as found:
        api.tell(EVENTS, "ADDED", event("theirs", "FailedMount"))
        await elapse(1)

        assert found.latest("uid-theirs") is None
        assert woken == []


async def test_a_repetition_is_news_only_where_its_duration_decides() -> None:
    api, woken = PlayedApi(), list[str]()
    async with happenings(api, woken) as found:
        for reason in ("BackOff", "BackOff", "FailedMount", "FailedMount"):
            api.tell(EVENTS, "MODIFIED", event("our-pod", reason))
            await elapse(10)

        latest = found.latest("uid-our-pod")

        assert latest is not None
        assert latest.seen - latest.since == 10
        assert woken == ["our-pod"] * 3


async def test_without_the_right_to_hear_events_it_is_said_and_tried_again() -> None:
    api, woken = PlayedApi(), list[str]()
    api.refuses_watch = 403
    async with happenings(api, woken) as found:
        assert "cannot be watched" in found.trouble["team"]

        api.refuses_watch = 0
        await elapse(30)

        assert api.is_watched(EVENTS)
