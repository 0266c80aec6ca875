"""What is kept of finished objects, and for how long."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from tests.support.played_api import PlayedApi

from airscrew.engine.clock import LoopClock
from airscrew.engine.testing.virtual_time import elapse
from airscrew.plugins.kubernetes.api.client import ObjectClient
from airscrew.plugins.kubernetes.api.connection import Reply
from airscrew.plugins.kubernetes.api.kinds import POD
from airscrew.plugins.kubernetes.names import EXPIRES
from airscrew.plugins.kubernetes.pod_view import Metadata
from airscrew.plugins.kubernetes.retention import Retention, over

PODS = "/api/v1/namespaces/team/pods"


def kept(name: str, until: str, namespace: str = "team") -> Metadata:
    return Metadata(name=name, namespace=namespace, uid=f"uid-{name}", annotations={EXPIRES: until})


def test_what_is_over_goes_and_the_others_stay() -> None:
    gone = over([kept("old", "10"), kept("new", "30")], now=20, count=0)

    assert [one.name for one in gone] == ["old"]


def test_of_more_than_so_many_in_a_namespace_the_oldest_go() -> None:
    there = [kept(f"pod-{number}", str(100 + number)) for number in range(5)] + [kept("alone", "101", "other")]

    gone = over(there, now=20, count=2)

    assert sorted(one.name for one in gone) == ["pod-0", "pod-1", "pod-2"]


@pytest.mark.parametrize("until", ["", "soon"])
def test_what_does_not_say_how_long_it_stays_goes(until: str) -> None:
    assert over([kept("one", until)], now=20, count=0)


@pytest.mark.virtual_time
async def test_an_object_is_let_go_by_one_patch_and_deleted_when_its_time_is_over() -> None:
    api, sent = PlayedApi(), list[tuple[str, Any]]()

    def answer(method: str, path: str, body: bytes | None) -> Reply:
        sent.append((method, json.loads(body or b"null")))
        metadata = {**sent[0][1]["metadata"], "name": "one", "namespace": "team", "finalizers": []}
        api.listed[PODS] = [{"metadata": metadata}] if method == "PATCH" else []
        return Reply(200, b"{}")

    api.answer = answer
    retention = Retention(
        client=ObjectClient(api, POD),
        selector="a=b",
        seconds=100,
        count=0,
        cluster_wide=False,
        clock=LoopClock(),
        random=Random(1),
    )
    async with retention:
        await retention.keep("team", "one", "uid-one", [])
        await elapse(90)
        assert [method for method, _ in sent] == ["PATCH"]

        await elapse(60)

    assert [method for method, _ in sent] == ["PATCH", "DELETE"]
    assert sent[0][1]["metadata"]["finalizers"] is None
    assert sent[1][1]["preconditions"] == {"uid": "uid-one"}
