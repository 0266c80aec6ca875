"""An engine whose state is in etcd: as a user meets it, and as machines fail."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import time
from http.client import HTTPConnection
from pathlib import Path

import msgspec
import pytest
from tests.e2e.tasks import Gate, echo
from tests.e2e.user import User, until, with_store
from tests.support.etcd import Etcd

from airscrew.state.holder import Holder
from airscrew.state.keys import MEMBERS
from airscrew.state.lease_lock import ENGINE_KEY, TERM_KEY
from airscrew.state.store import Compare, Put, prefix_end
from airscrew.state.urls import open_store


@pytest.fixture
def url(etcd: Etcd) -> str:
    return etcd.new_url()


@pytest.fixture
def user(user: User, url: str) -> User:
    """A user whose settings name the etcd."""
    return with_store(user, url)


def test_tasks_run_with_their_state_in_etcd(user: User, tmp_path: Path, url: str) -> None:
    user.run("run", echo(tmp_path / "echo.json", {"x": "INTEGER"}), "--input", "x=3", "--name", "echo")
    gate = Gate(tmp_path)
    gate.open()
    user.run("run", gate.template(), "--name", "gate")

    assert user.get("echo")["outputs"] == {"o0": 3}
    assert witness(url, "spec/") == witness(url, "record/") == ["default/echo", "default/gate"]
    assert user.get("gate")["outputs"] == {"o0": 7}
    assert user.run("state", "status").out.startswith(f"Store:        {url}")
    assert not (user.home / "state.db").exists()


def witness(url: str, kind: str) -> list[str]:
    """Read the keys of a kind past all that is airscrew's, as etcd serves them to anybody, and check their values."""
    host, _, prefix = url.removeprefix("etcd://").partition("/")
    start = f"/{prefix}/{kind}".encode()
    query = {"key": start, "range_end": start[:-1] + b"0"}
    connection = HTTPConnection(host, timeout=10)
    connection.request("POST", "/v3/kv/range", json.dumps({k: base64.b64encode(v).decode() for k, v in query.items()}))
    found = json.loads(connection.getresponse().read()).get("kvs", [])
    connection.close()
    for item in found:
        assert isinstance(json.loads(base64.b64decode(item["value"])), dict), "a value is no plain JSON"
    names = [base64.b64decode(item["key"]).decode().removeprefix(f"/{prefix}/{kind}") for item in found]
    return sorted(name.split("/", 1)[1] for name in names)


def test_an_engine_whose_store_was_taken_over_stops(user: User, url: str) -> None:
    engine = user.serve()

    asyncio.run(take_over(url))

    done = engine.wait()
    assert done.code != 0
    assert "in use by an airscrew process that does not share it (process 7 on elsewhere)" in done.err


async def take_over(url: str) -> None:
    """Do as an engine elsewhere does that wants the store for itself, when the members were not heard of for long."""
    stranger = msgspec.json.encode(Holder(host="elsewhere", pid=7))
    async with open_store(url) as store:
        page = await store.range(MEMBERS, prefix_end(MEMBERS))
        await store.revoke_lease(page.items[0].lease)
        lease = await store.grant_lease(60)
        await store.txn([Compare(ENGINE_KEY, 0)], [Put(ENGINE_KEY, stranger, lease), Put(TERM_KEY, stranger)])


def test_two_engines_share_one_store_and_one_that_is_killed_loses_nothing(user: User, tmp_path: Path, url: str) -> None:
    template = echo(tmp_path / "echo.json", {"x": "INTEGER"})
    first = user.serve()
    second = with_store(User(tmp_path / "second"), url)
    other = second.serve()
    until(lambda: len({row["owner"] for row in user.json("shards")}) == 2, "both engines have shards")

    names = [f"echo-{number}" for number in range(12)]
    for number, name in enumerate(names):
        at = user if number % 2 else second
        at.run("run", template, "--input", f"x={number}", "--name", name, "--detach")
    owners = {user.json("shards", name)[0]["owner"] for name in names}
    assert len(owners) == 2
    for number, name in enumerate(names):
        until(lambda name=name: user.get(name)["phase"] == "Success", f"{name}'s end")
        assert second.get(name)["outputs"] == {"o0": number}

    members = user.json("members")
    assert sorted(row["pid"] for row in members) == sorted((first.pid, other.pid))
    assert sum(row["shards"] for row in members) == 256
    assert sum(row["leader"] for row in members) == 1

    other.kill_hard()
    until(lambda: len({row["owner"] for row in user.json("shards") if row["owner"]}) == 1, "the survivor has them all")
    user.run("run", template, "--input", "x=99", "--name", "after")
    assert user.get("after")["outputs"] == {"o0": 99}
    first.signal(signal.SIGTERM)
    assert first.wait().code == 0
    assert user.json("members") == []


def test_an_engine_that_leaves_gives_its_share_to_the_other_at_once(user: User, tmp_path: Path, url: str) -> None:
    first = user.serve()
    second = with_store(User(tmp_path / "second"), url)
    other = second.serve()
    until(lambda: len({row["owner"] for row in user.json("shards")}) == 2, "both engines have shards")

    first.signal(signal.SIGTERM)

    assert first.wait().code == 0
    rows = second.json("shards")
    assert {row["how"] for row in rows if row["owner"]} <= {"given", "taken"}
    assert {row["owner"] for row in rows} == {second.json("members")[0]["id"]}
    other.signal(signal.SIGTERM)
    assert other.wait().code == 0


def test_an_engine_killed_with_its_state_in_etcd_goes_on_at_once(user: User, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    engine = user.start("run", gate.template())
    pid = gate.has_begun()
    name = engine.name()
    engine.kill_hard()

    resumed = user.start("run", "--resume")
    resumed.says(f"{name}: Running")
    gate.open()

    assert resumed.wait().code == 0
    assert user.get(name)["outputs"] == {"o0": 7}
    assert gate.runs() == [pid]
    assert user.processes() == []


def test_an_etcd_that_is_away_costs_nothing_but_time(user: User, tmp_path: Path, own_etcd: Etcd) -> None:
    with_store(user, own_etcd.new_url())
    gate = Gate(tmp_path)
    engine = user.start("run", gate.template())
    pid = gate.has_begun()
    name = engine.name()

    own_etcd.servers[0].kill()
    time.sleep(2.0)  # long enough for all that looks at the store to find it away
    gate.open()
    until(lambda: not any(process == pid for process in user.processes()), "the task's end")
    own_etcd.servers[0].start()

    done = engine.wait()
    assert done.code == 0, done.err
    assert user.get(name)["outputs"] == {"o0": 7}
    assert gate.runs() == [pid]
