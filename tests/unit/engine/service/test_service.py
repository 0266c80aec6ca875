from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from tests.unit.engine.service.service_kit import Office

from airscrew.engine.api.model import ApiError, ListRequest
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.ids import AttemptKey, ExecutionId, Uid
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.records import LedgerEntry, LedgerState, Request, Stage, decode, encode
from airscrew.state.store import Delete, KeyValue, Put

pytestmark = pytest.mark.virtual_time


async def request_of(office: Office, what: str) -> Request | None:
    found = await office.store.inner.get(keys.request_key(ExecutionId("default", "a"), what))
    return None if found is None else decode(found.value, Request)


async def open_entry(office: Office, state: LedgerState, **changes: object) -> AttemptKey:
    key = AttemptKey("a" + "b" * 26)
    uid = (await office.api.reader.find("a")).options.uid
    entry = LedgerEntry(execution="default/a", uid=uid, executor="scripted", attempt=0, state=state, since=1.0)
    entry = msgspec.structs.replace(entry, **changes)
    await office.store.inner.txn([], [Put(keys.ledger_key(ExecutionId("default", "a"), key), encode(entry))])
    return key


class TestKill:
    async def test_a_kill_leaves_a_request_for_the_owner(self) -> None:
        office = Office()
        await office.submit()

        await office.api.kill("a", "enough", force=True)

        assert await request_of(office, "kill") == Request(what="kill", reason="enough", force=True, at=5000.0)

    async def test_killing_what_is_done_changes_nothing(self) -> None:
        office = Office()
        await office.submit()
        await office.end()

        await office.api.kill("a", "late")

        assert await request_of(office, "kill") is None

    @pytest.mark.parametrize(("name", "code"), [("ghost", "not_found"), ("Not Valid", "invalid")])
    async def test_what_is_not_there_is_said(self, name: str, code: str) -> None:
        with pytest.raises(ApiError) as caught:
            await Office().api.kill(name, "x")

        assert caught.value.code == code


class TestRetry:
    async def test_a_terminal_one_runs_again_under_a_new_name_that_names_its_origin(self) -> None:
        office = Office()
        await office.submit(labels={"x": "1"}, output_prefix="memory:mine", timeouts={"total": 5.0})
        await office.end(phase=Phase.PERMANENT_FAILURE)

        reply = await office.api.retry("a")

        found = await office.api.reader.find(reply.execution)
        assert reply.created
        assert found.execution.name != "a"
        assert (found.options.origin, found.options.labels) == ("default/a", {"x": "1"})
        assert found.options.output_base == "memory:mine"
        assert found.options.timeouts["total"] == 5.0

    async def test_a_quarantined_one_goes_on(self) -> None:
        office = Office()
        await office.submit()
        await office.set(stage=Stage.LIVE, quarantine="10 calls failed in a row")

        reply = await office.api.retry("a")

        assert not reply.created
        assert await request_of(office, "retry") is not None

    async def test_one_that_is_at_work_is_refused(self) -> None:
        office = Office()
        await office.submit()

        with pytest.raises(ApiError, match="is not over"):
            await office.api.retry("a")

    async def test_one_that_is_not_gone_yet_needs_force(self) -> None:
        office = Office()
        await office.submit()
        await office.set(stage=Stage.ENDING, phase=Phase.ABORTED, ended_at=1.0)

        with pytest.raises(ApiError, match="not gone yet"):
            await office.api.retry("a")
        assert (await office.api.retry("a", force=True)).created


class TestLeaks:
    async def test_open_entries_of_what_is_over_are_listed_with_what_to_do(self) -> None:
        office = Office()
        await office.submit()
        key = await open_entry(office, LedgerState.UNKNOWN)
        assert await office.api.leaks() == []

        await office.end(phase=Phase.PERMANENT_FAILURE)

        [leak] = await office.api.leaks()
        assert (leak.key, leak.execution) == (key, "default/a")
        assert "clear it" in leak.note

    async def test_an_entry_that_cannot_be_read_hides_no_other(self) -> None:
        office = Office()
        await office.submit()
        await office.end()
        await open_entry(office, LedgerState.KNOWN)
        await office.store.inner.txn([], [Put("ledger/00/bad", b"\xff")])

        assert len(await office.api.leaks()) == 1

    async def test_clearing_asks_the_owner(self) -> None:
        office = Office()
        await office.submit()
        await office.end(phase=Phase.PERMANENT_FAILURE)
        key = await open_entry(office, LedgerState.UNKNOWN)

        await office.api.clear_leak(key)

        assert await request_of(office, "clear-0") is not None

    async def test_an_entry_without_an_execution_is_struck_off_at_once(self) -> None:
        office = Office()
        await office.submit()
        key = await open_entry(office, LedgerState.UNKNOWN, execution="default/ghost", uid=Uid("u"))

        await office.api.clear_leak(key)

        assert await office.below(keys.LEDGER) == []

    async def test_a_unit_that_another_has_taken_since_the_entries_were_read_stays(self) -> None:
        office = Office()
        await office.submit()
        key = await open_entry(office, LedgerState.UNKNOWN, execution="default/ghost", uid=Uid("u"), tokens=("few/0",))
        unit = keys.quota_token_key("few/0")
        (entry,) = await office.below(keys.LEDGER)
        get = office.store.get

        async def be_late(name: str) -> KeyValue | None:
            office.store.get = get  # type: ignore[method-assign]
            found = await get(name)
            await office.store.inner.txn([], [Delete(entry), Put(unit, b"another's")])
            return found

        office.store.get = be_late  # type: ignore[method-assign]
        await office.api.clear_leak(key)

        assert await office.below(keys.LEDGER) == []
        assert (await office.store.inner.get(unit)) is not None

    async def test_an_entry_of_one_that_had_the_name_before_is_struck_off_at_once(self) -> None:
        office = Office()
        await office.submit()
        await office.end(phase=Phase.PERMANENT_FAILURE)
        key = await open_entry(office, LedgerState.UNKNOWN, uid=Uid("u"))

        await office.api.clear_leak(key)

        assert await office.below(keys.LEDGER) == []
        assert await request_of(office, "clear") is None

    async def test_what_the_engine_sees_to_itself_cannot_be_cleared(self) -> None:
        office = Office()
        await office.submit()
        key = await open_entry(office, LedgerState.KNOWN)

        with pytest.raises(ApiError, match="the engine itself sees to it"):
            await office.api.clear_leak(key)
        with pytest.raises(ApiError, match="no open ledger entry"):
            await office.api.clear_leak("aghost")


class TestWatch:
    async def test_each_change_is_shown_until_it_is_over(self) -> None:
        office = Office()
        await office.submit()
        seen: list[Phase] = []

        async def follow() -> None:
            async for view in office.api.watch("a"):
                seen.append(view.phase)  # noqa: PERF401 - the test looks at it while it grows

        async with asyncio.TaskGroup() as group:
            group.create_task(follow())
            await elapse(1)
            await office.set(phase=Phase.RUNNING)
            await elapse(1)
            await office.end()

        assert seen == [Phase.QUEUED, Phase.RUNNING, Phase.SUCCESS]

    @pytest.mark.parametrize("has_record", [False, True])
    async def test_a_compacted_history_is_listed_again_once(self, has_record: bool) -> None:
        office = Office()
        await office.submit()
        if has_record:
            await office.set(phase=Phase.RUNNING)
        await office.store.inner.txn([], [Put("other", b"x")])
        await office.store.inner.compact(1_000_000)
        seen: list[Phase] = []

        async def follow() -> None:
            async for view in office.api.watch("a"):
                seen.append(view.phase)  # noqa: PERF401 - the test looks at it while it grows

        async with asyncio.TaskGroup() as group:
            group.create_task(follow())
            await elapse(5)
            await office.end()

        assert len(seen) <= 3
        assert seen[-1] is Phase.SUCCESS


class TestShow:
    @pytest.mark.parametrize("key", [keys.spec_key, keys.record_key])
    async def test_what_cannot_be_read_is_told_to_whoever_asks_for_it(self, key: Callable[[ExecutionId], str]) -> None:
        office = Office()
        await office.submit()
        await office.store.inner.txn([], [Put(key(ExecutionId("default", "a")), b"\xff{")])

        with pytest.raises(ApiError, match="what the store holds of default/a cannot be read") as caught:
            await office.api.get("a")

        assert caught.value.code == "failed"

    async def test_it_is_shown_before_any_engine_has_looked_at_it(self) -> None:
        office = Office()
        await office.submit()

        view = await office.api.get("a")

        assert (view.phase, view.reason, view.accepted_at) == (Phase.QUEUED, "accepted", 5000.0)
        assert not view.is_over

    async def test_state_error_and_ledger_are_shown(self) -> None:
        office = Office()
        await office.submit()
        error = ExecutionError(code="C", message="m", kind=ErrorKind.USER)
        await office.set(state=msgspec.Raw(b'{"job":"j"}'), created=True, error=error, cache="hit")

        view = await office.api.get("a")

        assert view.custom_state == {"job": "j"}
        assert view.ledger == [view.key]
        assert (view.error, view.cache_status) == (error, "hit")

    async def test_pages_show_every_execution_once_in_one_order(self) -> None:
        office = Office()
        names = {f"default/n{number}" for number in range(25)}
        for name in names:
            await office.submit(name.removeprefix("default/"))
        shown: list[str] = []
        token = ""

        while True:
            reply = await office.api.list(ListRequest(limit=10, page_token=token))
            shown += [view.execution for view in reply.executions]
            token = reply.next_page_token
            if not token:
                break

        assert set(shown) == names
        assert len(shown) == 25

    async def test_a_page_holds_what_was_asked_for_alone(self) -> None:
        office = Office()
        for number in range(6):
            await office.submit(f"n{number}", labels={"parity": str(number % 2)})
        await office.end("n0")

        async def names(**wanted: object) -> list[str]:
            request = ListRequest(**wanted)  # type: ignore[arg-type]
            return sorted(view.execution for view in (await office.api.list(request)).executions)

        assert await names(labels={"parity": "1"}, limit=2) != []
        assert await names(phases=[Phase.SUCCESS]) == ["default/n0"]
        assert len(await names(active=True)) == 5
        assert await names(namespace="elsewhere") == []

    async def test_one_bad_record_hides_no_other(self) -> None:
        office = Office()
        await office.submit("good")
        await office.submit("bad")
        await office.store.inner.txn([], [Put(keys.record_key(ExecutionId("default", "bad")), b"\xff")])

        shown = [view.execution for view in (await office.api.list(ListRequest())).executions]

        assert "default/good" in shown

    async def test_a_page_token_of_somebody_else_is_refused(self) -> None:
        with pytest.raises(ApiError, match="is none of ours"):
            await Office().api.list(ListRequest(page_token="meta/time"))

    async def test_the_log_of_an_attempt_that_never_was_is_not_found(self) -> None:
        office = Office()
        await office.submit()

        with pytest.raises(ApiError, match="has no attempt 3; its last one is 0"):
            [chunk async for chunk in office.api.logs("a", attempt=3)]
        assert [chunk.data async for chunk in office.api.logs("a")] == [b"log of 0"]
