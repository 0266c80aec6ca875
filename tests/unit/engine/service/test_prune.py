from __future__ import annotations

import pytest
from tests.unit.engine.service.service_kit import Office, template_bytes

from airscrew.idl.ids import ExecutionId
from airscrew.state import keys
from airscrew.state.records import Intent, Request, Stage, encode
from airscrew.state.store import Delete, Page, Put

pytestmark = pytest.mark.virtual_time


async def over(office: Office, *names: str, **changes: object) -> None:
    for at, name in enumerate(names):
        await office.submit(name)
        await office.end(name, at=1000.0 + at, **changes)


class TestChoice:
    async def test_what_ended_before_goes_the_oldest_first(self) -> None:
        office = Office()
        await over(office, "old", "older")
        await office.end("older", at=10.0)
        await office.submit("young")
        await office.end("young", at=4999.0)
        await office.submit("running")

        assert await office.api.prune(older_than_seconds=100.0) == ["default/older", "default/old"]
        assert len(await office.below(keys.SPECS)) == 2

    async def test_some_of_the_last_may_be_kept(self) -> None:
        office = Office()
        await over(office, "a", "b", "c")

        assert await office.api.prune(older_than_seconds=0.0, keep=2) == ["default/a"]

    async def test_a_dry_run_names_the_same_and_deletes_nothing(self) -> None:
        office = Office()
        await over(office, "a", "b")
        await office.set("b", created=True)

        dry = await office.api.prune(older_than_seconds=0.0, dry_run=True)

        assert len(await office.below(keys.RECORDS)) == 2
        assert dry == await office.api.prune(older_than_seconds=0.0) == ["default/a"]

    async def test_what_may_still_lie_outside_stays(self) -> None:
        office = Office()
        await over(office, "a", intent=Intent(nonce="n", written_at=1.0, unknown_since=2.0))

        assert await office.api.prune(older_than_seconds=0.0) == []

    async def test_what_waits_for_a_look_after_a_late_start_stays(self) -> None:
        office = Office()
        await over(office, "a", "b")
        word = Request(what="sweep", at=2000.0)
        await office.store.inner.txn([], [Put(keys.request_key(ExecutionId("default", "a"), "sweep-0"), encode(word))])

        assert await office.api.prune(older_than_seconds=0.0) == ["default/b"]
        assert "sweep-0" in {keys.request_of(key) for key in await office.below(keys.REQUESTS)}

    async def test_word_that_comes_while_an_execution_is_deleted_stays_and_other_requests_go(self) -> None:
        office = Office()
        await over(office, "a")
        keys_of = {what: keys.request_key(ExecutionId("default", "a"), what) for what in ("kill", "retry", "sweep-0")}

        async def come(operations: object) -> None:
            office.store.before_txn = None
            await office.store.inner.txn([], [Put(key, encode(Request(what="x"))) for key in keys_of.values()])

        office.store.before_txn = come

        assert await office.api.prune(older_than_seconds=0.0) == ["default/a"]
        assert list(await office.below(keys.REQUESTS)) == [keys_of["sweep-0"]]

    async def test_children_stay_while_their_parent_is_at_work(self) -> None:
        office = Office()
        await office.submit("mother")
        await office.set("mother", stage=Stage.CHILDREN)
        await office.submit("child", parent="default/mother")
        await office.end("child")

        assert await office.api.prune(older_than_seconds=0.0) == []
        await office.end("mother", at=2000.0)

        assert await office.api.prune(older_than_seconds=0.0) == ["default/child", "default/mother"]


class TestDeletion:
    async def test_everything_of_an_execution_goes(self) -> None:
        office = Office()
        await over(office, "a")
        await office.store.inner.txn(
            [], [Put(keys.request_key(ExecutionId("default", "a"), "child-1"), encode(Request(what="child")))]
        )

        await office.api.prune(older_than_seconds=0.0)

        page = await office.store.inner.range("", "\x7f")
        assert [item.key for item in page.items] == []
        assert office.desk.deleted == ["a"]

    async def test_a_name_can_be_used_again(self) -> None:
        office = Office()
        await over(office, "a")
        first = (await office.api.reader.find("a")).options.uid
        await office.api.prune(older_than_seconds=0.0)

        await office.submit("a", labels={"another": "request"})

        assert (await office.api.reader.find("a")).options.uid != first

    async def test_a_template_goes_with_the_last_that_refers_to_it(self) -> None:
        office = Office()
        await over(office, "a", "b")
        await office.submit("c", template=template_bytes("another"))
        await office.end("c", at=4999.9)
        await office.end("b", at=4999.9)

        await office.api.prune(older_than_seconds=100.0)
        assert len(await office.below(keys.TEMPLATES)) == 2
        office.clock.time = 9000.0
        await office.api.prune(older_than_seconds=100.0)

        assert await office.below(keys.TEMPLATES) == []

    async def test_one_that_a_crash_left_goes_with_the_first_look(self) -> None:
        office = Office()
        await over(office, "a")
        await office.submit("lost", template=template_bytes("another"))
        await office.store.inner.txn([], [Delete(keys.spec_key(ExecutionId("default", "lost")))])

        await office.api.prune(older_than_seconds=0.0)

        assert await office.below(keys.TEMPLATES) == []

    async def test_references_are_read_only_as_far_as_a_template_of_what_was_deleted_is_found(self) -> None:
        office = Office()
        await over(office, "a", "z")
        await office.api.prune(older_than_seconds=0.0, keep=1)
        await over(office, *(f"n{number:02}" for number in range(30)))
        office.store.page_limit = 5
        read: list[str] = []
        page_of = office.store.range

        async def note(start: str, end: str, **limits: int) -> Page:
            read.append(start)
            return await page_of(start, end, **limits)

        office.store.range = note  # type: ignore[method-assign]
        await office.api.prune(older_than_seconds=0.0, keep=30)

        assert len([start for start in read if start.startswith(keys.SPECS)]) == 1

    async def test_a_template_stays_for_a_submission_in_between(self) -> None:
        office = Office()
        await over(office, "a")

        async def submit_between(operations: object) -> None:
            if not await office.below(keys.SPECS):
                office.store.before_txn = None
                await office.submit("b")

        office.store.before_txn = submit_between
        await office.api.prune(older_than_seconds=0.0)

        assert len(await office.below(keys.TEMPLATES)) == 1

    async def test_while_options_cannot_be_read_no_template_goes(self) -> None:
        office = Office()
        await over(office, "a")
        await office.submit("odd", template=template_bytes("another"))
        await office.store.inner.txn([], [Put(keys.spec_key(ExecutionId("default", "odd")), b"\xff")])

        assert await office.api.prune(older_than_seconds=0.0) == ["default/a"]
        assert len(await office.below(keys.TEMPLATES)) == 2

    async def test_one_that_changes_meanwhile_is_not_deleted(self) -> None:
        office = Office()
        await over(office, "a")

        async def change(operations: object) -> None:
            office.store.before_txn = None
            await office.set("a", reason="changed")

        office.store.before_txn = change

        assert await office.api.prune(older_than_seconds=0.0) == []
        assert len(await office.below(keys.SPECS)) == 1

    async def test_those_beside_one_that_changes_meanwhile_go(self) -> None:
        office = Office()
        await over(office, "a", "b", "c")

        async def change(operations: object) -> None:
            office.store.before_txn = None
            await office.set("b", reason="changed")

        office.store.before_txn = change

        assert await office.api.prune(older_than_seconds=0.0) == ["default/a", "default/c"]

    async def test_many_go_in_a_few_transactions(self) -> None:
        office = Office()
        await over(office, *(f"n{number}" for number in range(60)))
        before = (await office.store.status()).revision

        gone = await office.api.pruner.collect(ended_before=office.clock.now(), keep=0)

        assert gone == 60
        assert await office.below(keys.RECORDS) == await office.below(keys.SPECS) == []
        assert (await office.store.status()).revision - before == 4  # three, and one for their template

    async def test_who_ended_last_is_kept_over_many_pages(self) -> None:
        office = Office()
        await over(office, *(f"n{number}" for number in range(30)))
        office.store.page_limit = 7

        gone = await office.api.prune(older_than_seconds=0.0, keep=11)

        assert gone == [f"default/n{number}" for number in range(19)]
