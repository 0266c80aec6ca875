"""What is known of objects, whatever comes first: the answer to a creation, a list, or a watch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
import pytest
from tests.support.played_api import PlayedApi

from airscrew.engine.clock import LoopClock
from airscrew.engine.testing.virtual_time import elapse
from airscrew.plugins.kubernetes.api.client import ObjectClient
from airscrew.plugins.kubernetes.api.kinds import POD
from airscrew.plugins.kubernetes.objects import Objects, Scope
from airscrew.plugins.kubernetes.pod_view import PodView, decode_pod

pytestmark = pytest.mark.virtual_time

PODS = "/api/v1/namespaces/team/pods"


def pod(name: str, version: int, phase: str = "Pending") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "team", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata, "status": {"phase": phase}}


def seen(item: dict[str, Any]) -> PodView:
    return decode_pod(msgspec.json.encode(item))


@asynccontextmanager
async def objects(api: PlayedApi, woken: list[str], **scope: Any) -> AsyncIterator[Objects[PodView]]:
    made: Objects[PodView] = Objects(
        ObjectClient(api, POD),
        msgspec.json.Decoder(PodView),
        Scope(selector="x=y", **scope),
        clock=LoopClock(),
        random=Random(1),
        wake=woken.append,
    )
    async with made:
        yield made


def phase_of(found: Objects[PodView], name: str) -> str | None:
    view = found.look("team", name).view
    return None if view is None else view.status.phase


async def test_news_that_comes_before_the_answer_to_the_creation_counts() -> None:
    api, woken = PlayedApi(), list[str]()
    async with objects(api, woken) as found:
        found.look("team", "other")
        await elapse(1)
        api.tell(PODS, "MODIFIED", pod("one", 5, "Succeeded"))
        await elapse(1)

        sighting = found.saw(seen(pod("one", 3)))

        assert sighting.view is not None
        assert sighting.view.status.phase == "Succeeded"
        assert phase_of(found, "one") == "Succeeded"


async def test_an_end_that_comes_before_the_answer_to_the_creation_is_looked_at() -> None:
    api, woken = PlayedApi(), list[str]()
    async with objects(api, woken) as found:
        found.look("team", "other")
        await elapse(1)
        api.tell(PODS, "DELETED", pod("one", 5))
        await elapse(1)

        found.saw(seen(pod("one", 3)))

        assert found.look("team", "one").is_gone
        assert "one" in woken


async def test_an_answer_that_is_no_news_wakes_nobody_and_is_not_listed_at_once() -> None:
    api, woken = PlayedApi(), list[str]()
    api.listed[PODS] = [pod("one", 3)]
    async with objects(api, woken) as found:
        found.saw(seen(pod("one", 3)))
        await elapse(60)

        assert woken == []
        assert api.counts["GET"] == 1  # the list that the watch begins with


async def test_an_older_answer_does_not_undo_what_a_watch_told() -> None:
    api, woken = PlayedApi(), list[str]()
    api.listed[PODS] = [pod("one", 3)]
    async with objects(api, woken) as found:
        found.saw(seen(pod("one", 3)))
        await elapse(1)
        api.tell(PODS, "MODIFIED", pod("one", 9, "Running"))
        await elapse(1)

        found.saw(seen(pod("one", 4)))

        assert phase_of(found, "one") == "Running"
        assert woken == ["one"]


async def test_what_cannot_be_read_is_counted_and_the_watch_goes_on() -> None:
    api, woken = PlayedApi(), list[str]()
    api.listed[PODS] = [pod("one", 3)]
    async with objects(api, woken) as found:
        found.saw(seen(pod("one", 3)))
        await elapse(1)

        api.tell(PODS, "MODIFIED", {"metadata": {"name": 7}, "status": None})
        api.tell(PODS, "MODIFIED", pod("one", 9, "Running"))
        await elapse(1)

        assert found.watches["team"].malformed == 1
        assert phase_of(found, "one") == "Running"


async def test_a_watch_whose_place_is_compacted_lists_again_and_finds_what_went() -> None:
    api, woken = PlayedApi(), list[str]()
    api.listed[PODS] = [pod("one", 3)]
    async with objects(api, woken) as found:
        found.saw(seen(pod("one", 3)))
        found.saw(seen(pod("two", 3)))
        api.listed[PODS] = [pod("one", 4), pod("two", 4)]
        await elapse(1)

        api.listed[PODS] = [pod("two", 7, "Running")]
        api.tell(PODS, "ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
        await elapse(1)

        assert found.look("team", "one").is_gone
        assert phase_of(found, "two") == "Running"


async def test_without_the_right_to_watch_the_lists_tell() -> None:
    api, woken = PlayedApi(), list[str]()
    api.refuses_watch = 403
    api.listed[PODS] = [pod("one", 3)]
    async with objects(api, woken, period=10.0) as found:
        found.saw(seen(pod("one", 3)))
        await elapse(1)
        api.listed[PODS] = [pod("one", 7, "Succeeded")]

        await elapse(12)

        assert phase_of(found, "one") == "Succeeded"
