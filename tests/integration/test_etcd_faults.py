"""
The store in a real etcd that is killed, restarted, compacted or full.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.etcd import HASTY, Etcd, EtcdServer, find_binary, start_cluster, start_etcd
from tests.support.netns import make_machines

from airscrew.state.errors import CompactedError, StoreFullError, StoreUnavailableError
from airscrew.state.etcd.address import EtcdAddress
from airscrew.state.etcd.failures import CallError
from airscrew.state.etcd.link import Link
from airscrew.state.etcd.options import EtcdOptions
from airscrew.state.etcd.store import EtcdStore
from airscrew.state.etcd.wire import rpc
from airscrew.state.room import check_room
from airscrew.state.store import Compare, Delete, Event, KeyValue, Put, Store, TxnResult

QUICK = EtcdOptions(call_seconds=3.0, first_pause_seconds=0.02, upkeep_seconds=0.1)


@asynccontextmanager
async def opened(url: str, options: EtcdOptions = QUICK) -> AsyncIterator[EtcdStore]:
    async with asyncio.timeout(90), EtcdStore.open(EtcdAddress.parse(url), options=options) as store:
        yield store


async def patiently_put(store: Store, key: str, value: bytes) -> TxnResult:
    """Write a key, however long the store is away; writing it twice does no harm."""
    while True:
        try:
            return await store.txn((), [Put(key, value)])
        except StoreUnavailableError:
            await asyncio.sleep(0.05)


async def test_a_watch_goes_on_over_a_killed_etcd(own_etcd: Etcd) -> None:
    async with opened(own_etcd.new_url()) as store:
        first = await store.txn((), [Put("a", b"0")])
        async with aclosing(store.watch("a", "b", from_revision=first.revision)) as batches:
            assert [event.value for event in await anext(batches)] == [b"0"]

            await asyncio.to_thread(own_etcd.servers[0].restart)
            last = await patiently_put(store, "a", b"1")

            seen: list[Event] = []
            while not seen or seen[-1].revision < last.revision:
                seen += await anext(batches)

    assert {event.value for event in seen} == {b"1"}
    assert len({event.revision for event in seen}) == len(seen)


async def test_what_was_acknowledged_is_there_after_a_kill(own_etcd: Etcd) -> None:
    async with opened(own_etcd.new_url()) as store:
        results = [await store.txn((), [Put(f"a/{number}", b"%d" % number)]) for number in range(50)]

        await asyncio.to_thread(own_etcd.servers[0].restart)

        await patiently_put(store, "b", b"")
        page = await store.range("a/", "a0")
    assert [item.mod_revision for item in sorted(page.items, key=lambda item: int(item.value))] == [
        result.revision for result in results
    ]


async def test_calls_while_etcd_is_away_say_so(own_etcd: Etcd) -> None:
    async with opened(own_etcd.new_url()) as store:
        await store.txn((), [Put("a", b"")])
        await asyncio.to_thread(own_etcd.servers[0].kill)

        for call in (store.get("a"), store.range("a", "b"), store.status(), store.compact(1), store.grant_lease(5)):
            with pytest.raises(StoreUnavailableError, match="does not answer"):
                await call
        with pytest.raises(StoreUnavailableError):
            await store.txn((), [Put("a", b"")])


async def test_an_etcd_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(StoreUnavailableError, match=r"the store etcd://127\.0\.0\.1:1/p does not answer"):
        async with opened("etcd://127.0.0.1:1/p"):
            pass


async def test_a_store_that_could_not_be_opened_keeps_no_connection_that_goes_on_trying() -> None:
    gc.collect()
    gc.disable()  # what only it would find lives on for as long as little else happens
    try:
        before = calls_left()
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                async with opened("etcd://127.0.0.1:1/p"):
                    pass

        assert calls_left() == before
    finally:
        gc.enable()


def calls_left() -> int:
    """Count what is left of gRPC's calls in this process: each holds its channel, and that its connection."""
    return sum(type(one).__module__ == "grpc.aio._call" for one in gc.get_objects())


async def test_a_watch_that_compaction_overtook_says_so(own_etcd: Etcd) -> None:
    async with opened(own_etcd.new_url()) as store:
        first = await store.txn((), [Put("a", b"0")])
        async with aclosing(store.watch("a", "b", from_revision=first.revision)) as batches:
            await anext(batches)
            await asyncio.to_thread(own_etcd.servers[0].restart)  # the watch is broken, and begins again when asked
            await patiently_put(store, "a", b"1")
            last = await patiently_put(store, "b", b"")
            await store.compact(last.revision)

            with pytest.raises(CompactedError) as caught:
                await anext(batches)

    assert caught.value.oldest == last.revision + 1


async def test_a_watch_keeps_its_events_apart_from_a_large_answer(etcd: Etcd) -> None:
    """More than etcd puts into one message: it comes in parts, and no revision is torn."""
    async with opened(etcd.new_url()) as store:
        first = (await store.status()).revision + 1
        for _ in range(6):
            last = await store.txn((), [Put("a/1", bytes(600_000)), Put("a/2", bytes(600_000))])

        revisions: list[set[int]] = []
        async with aclosing(store.watch("a/", "a0", from_revision=first)) as batches:
            async for batch in batches:
                revisions.append({event.revision for event in batch})
                assert len(batch) == 2 * len(revisions[-1]), "a revision came in two batches"
                if batch[-1].revision == last.revision:
                    break

    assert sum(map(len, revisions)) == 6


async def test_old_history_goes_by_itself_and_watches_go_on(own_etcd: Etcd) -> None:
    options = EtcdOptions(upkeep_seconds=0.05, compact_seconds=0.3, keep_revisions=10)
    async with opened(own_etcd.new_url(), options) as store:
        first = await store.txn((), [Put("a", b"0")])
        async with aclosing(store.watch("a", "b", from_revision=first.revision)) as batches:
            seen = list(await anext(batches))
            while not (await store.status()).compacted:
                await store.txn((), [Put("a", b"1")])
            last = await store.txn((), [Put("a", b"end")])

            while seen[-1].revision < last.revision:
                seen += await anext(batches)

        status = await store.status()
    assert len(seen) == last.revision - first.revision + 1
    assert status.compacted <= status.revision - 10


async def test_a_compaction_while_the_compacted_revision_is_looked_for_does_not_hold_it_up(
    own_etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(own_etcd.new_url()) as store, opened(own_etcd.new_url()) as other:
        for _ in range(10):
            last = await store.txn((), [Put("a", b"")])
        await other.compact(last.revision - 5)
        ask = Link.call

        async def ask_and_compact(link: Link, *asked: Any, **options: Any) -> Any:
            try:
                return await ask(link, *asked, **options)
            except CallError:
                monkeypatch.setattr(Link, "call", ask)
                await store.compact(last.revision - 2)
                raise

        monkeypatch.setattr(Link, "call", ask_and_compact)

        assert (await store.status()).compacted == last.revision - 2


async def test_near_its_quota_what_is_new_is_refused_and_what_runs_is_written(tmp_path: Path) -> None:
    quota = 4 * 1024 * 1024
    with ExitStack() as stack:
        etcd = start_etcd(stack, tmp_path, options=("--quota-backend-bytes", str(quota)))
        async with opened(etcd.new_url()) as store:
            number = 0
            while not store.is_short_of_room():
                await store.txn((), [Put(f"a/{number}", bytes(50_000))])
                number += 1
                await asyncio.sleep(0.12 if number > 60 else 0)  # etcd looks at its size every tenth of a second

            with pytest.raises(StoreFullError, match="keeps the rest for what runs"):
                check_room(store)
            assert (await store.txn((), [Put("record", b"")])).succeeded, "what runs could not be written"


async def test_a_full_etcd_is_told_apart_and_takes_deletes(tmp_path: Path) -> None:
    with ExitStack() as stack:
        etcd = start_etcd(stack, tmp_path, options=("--quota-backend-bytes", str(1024 * 1024)))
        async with opened(etcd.new_url()) as store:
            with pytest.raises(StoreFullError, match="no room in the store etcd://"):
                await fill(store)

            async with asyncio.TaskGroup() as group:  # together, so that the put takes the delete along
                writing = group.create_task(outcome(store, Put("b", b"")))
                deleting = group.create_task(outcome(store, Delete("a/0")))

            assert isinstance(writing.result(), StoreFullError)
            assert isinstance(deleting.result(), TxnResult)
            assert await store.get("b") is None
            assert await store.get("a/0") is None


async def fill(store: Store) -> None:
    for number in range(100):
        await store.txn((), [Put(f"a/{number}", bytes(50_000))])


async def outcome(store: Store, operation: Put | Delete) -> TxnResult | StoreFullError:
    try:
        return await store.txn((), [operation])
    except StoreFullError as error:
        return error


async def test_a_cluster_whose_leader_is_killed_loses_and_doubles_nothing(etcd_cluster: Etcd) -> None:
    async with at_work(etcd_cluster) as store:
        leader = await find_leader(etcd_cluster)
        await asyncio.to_thread(leader.kill)
        await patiently_put(store, "meanwhile", b"")
        await asyncio.sleep(1.0)
        await asyncio.to_thread(leader.start)


async def test_a_leader_cut_off_from_its_peers_is_left_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    """We still reach it, and it still listens: only that it leads nobody."""
    with ExitStack() as stack:
        machines = make_machines(stack, 3)
        binary = find_binary()
        servers = [
            EtcdServer(
                binary=binary,
                folder=tmp_path / machine.name,
                name=machine.name,
                host=machine.host,
                peer_host=machine.peer_host,
                runner=machine.runner,
                options=HASTY,
            )
            for machine in machines
        ]
        etcd = start_cluster(stack, servers)
        leader = await find_leader(etcd)
        etcd.servers.sort(key=lambda server: server is not leader)  # the store begins with the first one
        machine = next(machine for machine in machines if machine.name == leader.name)

        async with at_work(etcd) as store:
            machine.cut_off()
            await asyncio.sleep(1.0)
            await patiently_put(store, "meanwhile", b"")
            await asyncio.sleep(2.0)
            assert (await find_leader(etcd)) is not leader
            machine.join()


@asynccontextmanager
async def at_work(etcd: Etcd) -> AsyncIterator[Store]:
    """Write and watch while the block does harm, and then see that nothing was lost or doubled."""
    async with opened(etcd.new_url()) as store:
        first = await patiently_put(store, "begin", b"")
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            seen = group.create_task(follow(store, first.revision + 1))
            writers = [group.create_task(write(store, number, stopping)) for number in range(24)]
            await asyncio.sleep(0.5)
            yield store
            await asyncio.sleep(1.0)
            stopping.set()  # not cancelled: what is on its way would be written after the end
            await asyncio.wait(writers)
            await patiently_put(store, "end", b"")

        page = await store.range("count/", "count0")
    told = seen.result()
    counts = {item.key: int(item.value) for item in page.items}
    for number in range(24):
        mine = [int(event.value or b"") for event in told if event.key == f"count/{number:02}"]
        assert mine == list(range(1, counts[f"count/{number:02}"] + 1)), "a write was lost or doubled"
    assert sum(counts.values()) > 300, "there was hardly anything to lose"


async def write(store: Store, number: int, stopping: asyncio.Event) -> None:
    """Count up by compare-and-set, until told to stop and sure of the last write; a read settles lost answers."""
    key, count, revision, is_unknown = f"count/{number:02}", 0, 0, False
    while is_unknown or not stopping.is_set():
        try:
            result = await store.txn([Compare(key, revision)], [Put(key, b"%d" % (count + 1))])
            assert result.succeeded or is_unknown, "nobody else writes it"
        except StoreUnavailableError:
            is_unknown = True
        else:
            is_unknown = not result.succeeded  # then the one without an answer arrived late
        if is_unknown:
            found = await patiently_get(store, key)
            if found is not None:
                assert int(found.value) in {count, count + 1}, "somebody else wrote"
                count, revision = int(found.value), found.mod_revision
        else:
            count, revision = count + 1, result.revision


async def patiently_get(store: Store, key: str) -> KeyValue | None:
    """Read a key, however long the store is away."""
    while True:
        try:
            return await store.get(key)
        except StoreUnavailableError:
            await asyncio.sleep(0.05)


async def follow(store: Store, from_revision: int) -> list[Event]:
    events: list[Event] = []
    async with aclosing(store.watch("", "~", from_revision=from_revision)) as batches:
        async for batch in batches:
            events += batch
            if batch[-1].key == "end":
                break
    return events


async def find_leader(etcd: Etcd) -> EtcdServer:
    """Find the member that leads; one that was cut off may think so too, and is not asked first."""
    for server in reversed(etcd.servers):
        async with Link(EtcdAddress.parse(f"etcd://{server.endpoint}"), QUICK) as link:
            status = await link.call(lambda member: member.maintenance.Status, rpc.StatusRequest(), is_read=True)
            if status.leader == status.header.member_id:
                return server
    raise AssertionError("no member leads")


async def test_a_member_that_hangs_is_left_for_another(etcd_cluster: Etcd) -> None:
    async with opened(etcd_cluster.new_url()) as store:
        first = await patiently_put(store, "a", b"0")
        async with aclosing(store.watch("a", "b", from_revision=first.revision)) as batches:
            seen = list(await anext(batches))
            hanging = etcd_cluster.servers[0].pid  # the one that the store talks to
            os.kill(hanging, signal.SIGSTOP)
            try:
                results = [await patiently_put(store, "a", b"%d" % number) for number in range(1, 20)]
            finally:
                os.kill(hanging, signal.SIGCONT)
            while seen[-1].revision < results[-1].revision:
                seen += await anext(batches)

    assert [event.value for event in seen if event.value][-1] == b"19"
    assert [event.revision for event in seen] == sorted({event.revision for event in seen})
    assert {result.revision for result in results} <= {event.revision for event in seen}


async def test_a_cluster_is_reached_by_any_of_its_members(etcd_cluster: Etcd) -> None:
    await asyncio.to_thread(etcd_cluster.servers[0].kill)

    async with opened(etcd_cluster.new_url()) as store:
        await patiently_put(store, "a", b"1")
        found = await store.get("a")

    assert found is not None
