from __future__ import annotations

import pytest
from tests.support.faulty_store import FaultyStore
from tests.unit.engine.service.service_kit import Office, template_bytes

from airscrew.engine.api.model import ApiError
from airscrew.state import keys
from airscrew.state.errors import StoreBusyError, StoreFullError
from airscrew.state.records import decode_options
from airscrew.state.store import Delete

pytestmark = pytest.mark.virtual_time


async def test_an_acceptance_stores_name_request_and_template_at_once() -> None:
    office = Office()

    reply = await office.api.submit(office.request())

    assert (reply.execution, reply.created) == ("default/a", True)
    assert office.store.txns == 1
    assert len(await office.below(keys.SPECS)) == len(await office.below(keys.REQUESTS)) == 1
    assert len(await office.below(keys.TEMPLATES)) == 1
    assert office.announced == ["a"]


async def test_the_same_name_and_request_answers_with_the_same_execution() -> None:
    office = Office()

    first, second = [await office.api.submit(office.request()) for _ in range(2)]

    assert (second.uid, second.created) == (first.uid, False)
    assert office.known == ["default/a"]


async def test_the_same_name_with_another_request_is_refused() -> None:
    office = Office()
    await office.submit()

    with pytest.raises(ApiError, match="there is another execution default/a") as caught:
        await office.submit(labels={"x": "1"})

    assert caught.value.code == "already_exists"


async def test_a_thousand_executions_share_one_template() -> None:
    office = Office()

    for number in range(20):
        await office.submit(f"n{number}")

    assert len(await office.below(keys.TEMPLATES)) == 1


async def test_a_template_that_was_collected_meanwhile_is_written_again() -> None:
    office = Office()
    await office.submit("a")
    [name] = await office.below(keys.TEMPLATES)
    await office.store.inner.txn([], [Delete(name)])

    await office.submit("b")

    assert await office.below(keys.TEMPLATES) == [name]


async def test_inputs_whose_storage_is_away_can_be_submitted_again() -> None:
    office = Office()
    office.desk.storage_trouble = "the bucket does not answer"

    with pytest.raises(ApiError, match="submit the same again: the bucket does not answer") as caught:
        await office.submit()

    assert caught.value.code == "unavailable"
    assert await office.below(keys.SPECS) == []


async def test_without_a_name_one_is_made_of_the_tasks() -> None:
    office = Office()

    execution = await office.submit("")

    assert execution.startswith("default/task-")


async def test_a_lost_reply_of_an_execution_without_a_name_is_settled() -> None:
    office = Office()
    office.store.lose_replies = 1

    reply = await office.api.submit(office.request(""))

    assert reply.created
    assert len(await office.below(keys.SPECS)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Not Valid"}, "name 'Not Valid' is not valid"),
        ({"namespace": "UPPER"}, "namespace 'UPPER' is not valid"),
        ({"template": b"\xff\xff"}, "TaskTemplate"),
        ({"template": b""}, "has no type"),
        ({"template": template_bytes(task_type="nobody")}, "no executor takes task type 'nobody'"),
        ({"wire": "flyte7"}, "wire form 'flyte7'"),
        ({"executor": "ghost"}, "executor 'ghost' is not installed"),
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"timeouts": {"lunch": 1.0}}, "no timeout 'lunch'"),
        ({"timeouts": {"total": -1.0}}, "timeout total is -1 s"),
        ({"parent": "default/ghost"}, "parent default/ghost does not exist"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_stored(changes: dict[str, object], message: str) -> None:
    office = Office()

    with pytest.raises(ApiError, match=message) as caught:
        await office.submit(**changes)  # type: ignore[arg-type]

    assert caught.value.code == "invalid"
    assert await office.below(keys.SPECS) == []


async def test_what_the_data_plane_finds_wrong_is_passed_on() -> None:
    office = Office()
    office.desk.problem = "no variable {{.x}}"

    with pytest.raises(ApiError, match="no variable"):
        await office.submit()


async def test_a_full_store_and_one_that_is_away_have_codes_of_their_own() -> None:
    office = Office()

    def full(operations: object) -> None:
        raise StoreFullError("no room")

    office.store.before_txn = full
    with pytest.raises(ApiError) as caught:
        await office.submit()
    office.store.down = True
    with pytest.raises(ApiError) as away:
        await office.submit()

    assert (caught.value.code, away.value.code) == ("full", "unavailable")


async def test_an_engine_that_has_lost_the_store_says_to_submit_again() -> None:
    office = Office()

    def taken(operations: object) -> None:
        raise StoreBusyError("the store is in use by another airscrew process")

    office.store.before_txn = taken
    with pytest.raises(ApiError, match="submit the same again") as caught:
        await office.submit()

    assert caught.value.code == "unavailable"


class ShortStore(FaultyStore):
    """A store that comes near its limit when it is told."""

    short = False

    def is_short_of_room(self) -> bool:
        return self.short


async def test_near_the_stores_limit_nothing_new_is_accepted_and_a_kill_is() -> None:
    store = ShortStore()
    office = Office(store=store)
    await office.submit("a")
    store.short = True

    with pytest.raises(ApiError) as caught:
        await office.submit("b")
    await office.api.kill("default/a", "enough")

    assert caught.value.code == "full"
    assert not any(key.endswith("/b") for key in await office.below("spec/"))
    assert any(key.endswith("/kill") for key in await office.below("request/"))


async def test_a_draining_engine_accepts_nothing() -> None:
    office = Office(draining=True)

    with pytest.raises(ApiError, match="stopping"):
        await office.submit()


async def test_a_child_refers_to_its_parent_and_is_one_level_deeper() -> None:
    office = Office()
    await office.submit("mother")

    await office.submit("child", parent="default/mother", item=3)

    found = await office.api.reader.find("child")
    assert (found.options.parent, found.options.item, found.options.depth) == ("default/mother", 3, 1)
    assert [key.rsplit("/", 1)[1] for key in await office.below("child/")] == ["00000003"]


async def test_what_a_request_leaves_open_comes_from_the_template_and_then_from_the_operator() -> None:
    office = Office()
    template = template_bytes(interruptible=True)

    await office.submit("plain", template=template)
    await office.submit("own", template=template, interruptible=False, timeouts={"queued": 0.0, "total": 9.0})

    plain, own = [(await office.api.reader.find(name)).options for name in ("plain", "own")]
    assert (plain.interruptible, plain.timeouts) == (True, {"queued": 60.0})
    assert (own.interruptible, own.timeouts) == (False, {"total": 9.0})


async def test_the_options_are_legible_in_the_store() -> None:
    office = Office()
    await office.submit(labels={"team": "blue"})

    [name] = await office.below(keys.SPECS)
    found = await office.store.inner.get(name)

    assert found is not None
    assert b'"labels":{"team":"blue"}' in found.value
    assert decode_options(found.value).accepted_at == 5000.0


@pytest.mark.parametrize("overrides", [None, [], 5, "x"])
async def test_overrides_that_are_no_object_are_refused_and_not_stored(overrides: object) -> None:
    office = Office()

    with pytest.raises(ApiError, match="overrides must be a JSON object") as caught:
        await office.submit(overrides=overrides)

    assert caught.value.code == "invalid"
    assert await office.below(keys.SPECS) == []
