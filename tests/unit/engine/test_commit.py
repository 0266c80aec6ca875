from __future__ import annotations

import asyncio
from random import Random

import msgspec
import pytest
from tests.support.engine_kit import EPOCH, Rig

from airscrew.engine.controller.commit import Committer, ExecutionGoneError
from airscrew.engine.controller.fitting import fitted
from airscrew.engine.controller.live import Live
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.ids import Uid
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.errors import ShardLostError, StoreFullError, TooLargeError
from airscrew.state.records import (
    Intent,
    LedgerState,
    PastAttempt,
    Record,
    Request,
    Stage,
    Verdict,
    encode,
    encode_record,
)
from airscrew.state.store import Delete, Put

pytestmark = pytest.mark.virtual_time


def committer(rig: Rig, life: int = 1) -> Committer:
    return Committer(rig.store, life, Random(1), rig.clock)


def apply(live: Live, **changes: object) -> None:
    live.apply(msgspec.structs.replace(live.record, **changes), EPOCH)


class TestLedger:
    async def test_the_entry_follows_the_record(self) -> None:
        rig, live = Rig(), Rig().live()
        commit = committer(rig).commit
        states: list[LedgerState | None] = []
        intent = Intent(nonce="n", written_at=EPOCH)
        steps: list[dict[str, object]] = [
            {"stage": Stage.STARTING, "intent": intent},
            {"intent": msgspec.structs.replace(intent, unknown_since=EPOCH)},
            {"stage": Stage.LIVE, "intent": None, "created": True},
            {"created": False},
        ]

        for step in steps:
            apply(live, **step)
            await commit(live)
            entries = await rig.ledger()
            states.append(entries[0].state if entries else None)

        assert states == [LedgerState.INTENT, LedgerState.UNKNOWN, LedgerState.KNOWN, None]

    async def test_the_next_attempt_has_an_entry_of_its_own(self) -> None:
        rig, live = Rig(), Rig().live()
        commit = committer(rig).commit
        apply(live, created=True)
        await commit(live)

        apply(live, attempt=1, version=1, stage=Stage.STARTING, intent=Intent(nonce="n", written_at=EPOCH))
        await commit(live)

        entries = await rig.below(keys.LEDGER)
        assert list(entries) == [keys.ledger_key(live.execution, rig.key(attempt=1))]


class TestTerm:
    async def test_a_turn_of_a_shard_that_was_anothers_in_between_writes_nothing(self) -> None:
        rig, live = Rig(), Rig().live()
        apply(live, created=True)
        live.lost = True

        with pytest.raises(ShardLostError):
            await committer(rig).commit(live)

        assert await rig.ledger() == []


class TestTransaction:
    async def test_record_requests_events_and_word_to_the_parent_are_one_write(self) -> None:
        rig = Rig()
        live = rig.live(parent="default/mother", item=3)
        await rig.hand(live, "kill")
        live.consumed.append("kill")
        apply(live, stage=Stage.DONE, phase=Phase.ABORTED, version=2, ended_at=EPOCH)

        await committer(rig).commit(live)

        revisions = {item.mod_revision for item in (await rig.store.inner.range("", "\x7f")).items}
        assert len(revisions) == 1
        assert [key.rsplit("/", 1)[1] for key in await rig.below(keys.REQUESTS)] == ["child-3"]
        assert len(await rig.events()) == 2

    async def test_a_parent_is_told_once(self) -> None:
        rig = Rig()
        live = rig.live(parent="default/mother")
        commit = committer(rig).commit
        apply(live, phase=Phase.SUCCESS, ended_at=EPOCH)
        await commit(live)
        [(name, _)] = (await rig.below(keys.REQUESTS)).items()
        await rig.store.inner.txn([], [_delete(name)])

        apply(live, stage=Stage.DONE)
        await commit(live)

        assert await rig.below(keys.REQUESTS) == {}

    async def test_the_events_of_a_life_are_numbered_without_gaps(self) -> None:
        rig, live = Rig(), Rig().live()
        commit = committer(rig, 7).commit

        for version in range(1, 5):
            apply(live, version=version)
            await commit(live)
            apply(live, next_check=float(version))
            await commit(live)

        assert list(await rig.below(keys.EVENTS)) == [keys.event_key(7, number) for number in range(1, 5)]


class TestTrouble:
    async def test_a_conflict_keeps_the_facts_and_shows_what_is_stored(self) -> None:
        rig, live = Rig(), Rig().live()
        writer = committer(rig)
        await writer.commit(live)
        stored = live.record
        await rig.store.inner.txn([], [Put(keys.record_key(live.execution), _named(stored, "another"))])
        apply(live, reason="mine")

        assert not await writer.commit(live)
        await writer.read_again(live)

        assert live.record.write == "another"
        assert live.record.reason == stored.reason
        assert live.events == []

    @pytest.mark.parametrize("requests", [0, 1])
    async def test_a_lost_reply_counts_as_written(self, requests: int) -> None:
        rig, live = Rig(), Rig().live()
        for number in range(requests):
            await rig.hand(live, f"child-{number}")
            live.consumed.append(f"child-{number}")
        rig.store.lose_replies = 1

        assert await committer(rig).commit(live)

        assert rig.store.txns == 1
        assert not live.is_dirty

    async def test_a_write_waits_for_a_store_that_is_away(self) -> None:
        rig, live = Rig(), Rig().live()
        rig.store.down = True

        async with asyncio.TaskGroup() as group:
            task = group.create_task(committer(rig).commit(live))
            await elapse(60)
            rig.store.down = False
            await elapse(6)
            assert task.done()

        assert task.result()

    async def test_a_write_waits_for_room(self) -> None:
        rig, live = Rig(), Rig().live()
        refused = [1, 2, 3]

        def full(operations: object) -> None:
            if refused:
                refused.pop()
                raise StoreFullError("no room")

        rig.store.before_txn = full

        assert await committer(rig).commit(live)

    async def test_a_record_that_vanished_is_not_made_again(self) -> None:
        rig, live = Rig(), Rig().live()
        writer = committer(rig)
        await writer.commit(live)
        await rig.store.inner.txn([], [_delete(keys.record_key(live.execution))])
        apply(live, reason="late")

        assert not await writer.commit(live)
        with pytest.raises(ExecutionGoneError):
            await writer.read_again(live)

    @pytest.mark.parametrize("is_taken_again", [False, True])
    async def test_what_was_pruned_before_its_first_record_is_not_begun_again(self, is_taken_again: bool) -> None:
        rig = Rig()
        live, spec = rig.live(), keys.spec_key(rig.live().execution)
        live.accepted = (await rig.store.inner.txn([], [Put(spec, b"{}")])).revision
        await rig.store.inner.txn([], [Delete(spec)])
        if is_taken_again:
            await rig.store.inner.txn([], [Put(spec, b"{}")])
        writer = committer(rig)
        apply(live, reason="late")

        assert not await writer.commit(live)
        with pytest.raises(ExecutionGoneError):
            await writer.read_again(live)
        assert not await rig.below(keys.RECORDS)

    async def test_requests_that_cannot_be_read_are_left_where_they_are(self) -> None:
        rig, live = Rig(), Rig().live()
        writer = committer(rig)
        await writer.commit(live)
        await rig.store.inner.txn(
            [],
            [
                Put(keys.request_key(live.execution, "kill"), encode(Request(what="kill"))),
                Put(keys.request_key(live.execution, "odd"), b"\xff"),
            ],
        )

        await writer.read_again(live)

        assert list(live.requests) == ["kill"]


class TestFitting:
    def test_a_record_that_fits_is_written_as_it_is(self) -> None:
        record = Record(uid=Uid("u"), reason="r")

        assert fitted(record) == (record, encode_record(record))

    @pytest.mark.parametrize("character", ["a", "\x00", "漢", "😀"])
    def test_texts_give_way_and_state_and_outputs_stay(self, character: str) -> None:
        error = ExecutionError(code="C", message=character * 16_000, kind=ErrorKind.USER)
        uri = "data:," + "o" * 11_000
        record = Record(
            uid=Uid("u"),
            state=msgspec.Raw(b'{"s":"' + b"s" * 32_000 + b'"}'),
            error=error,
            output_uri=uri,
            verdict=Verdict(phase=Phase.PERMANENT_FAILURE, at=1.0, error=error),
            reason=character * 1000,
            attempts=tuple(PastAttempt(attempt=n, phase=Phase.RETRYABLE_FAILURE, error=error) for n in range(20)),
        )

        made, data = fitted(record)

        assert len(data) <= 64 * 1024
        assert (made.state, made.output_uri) == (record.state, uri)
        assert made.error is not None
        assert made.error.message.startswith(character * 20)

    def test_what_may_not_be_cut_and_does_not_fit_is_refused(self) -> None:
        with pytest.raises(TooLargeError, match="the limit is 65536"):
            fitted(Record(uid=Uid("u"), state=msgspec.Raw(b'"' + b"s" * 70_000 + b'"')))


def _delete(key: str) -> Delete:
    return Delete(key)


def _named(record: Record, write: str) -> bytes:
    return encode_record(msgspec.structs.replace(record, write=write))
