"""
Group commit against an etcd that does what the test says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from airscrew.state.errors import LeaseOverError, StoreError, StoreFullError, StoreUnavailableError
from airscrew.state.etcd.committer import Committer, Outcome
from airscrew.state.etcd.failures import CallError, Trouble
from airscrew.state.etcd.group import Group, make_request
from airscrew.state.etcd.options import EtcdOptions
from airscrew.state.store import Compare, Delete, Operation, Put, TxnResult

Answer = Callable[[Group], Outcome]


def written(group: Group) -> Outcome:
    del group
    return True, 7, ()


@dataclass
class FakeEtcd:
    """Answers groups when it is let; keeps what it was sent."""

    answer: Answer = written
    sent: list[list[str]] = field(default_factory=list[list[str]])
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, group: Group) -> Outcome:
        self.sent.append([key for one in group.requests for key in keys(one.operations)])
        await self.open.wait()
        return self.answer(group)


def keys(operations: object) -> list[str]:
    assert isinstance(operations, list)
    return [operation.key for operation in operations if isinstance(operation, Put | Delete)]


@dataclass
class Bench:
    committer: Committer
    tasks: asyncio.TaskGroup

    def ask(self, *operations: Operation, compares: tuple[Compare, ...] = ()) -> asyncio.Task[TxnResult | StoreError]:
        return self.tasks.create_task(self._answer(operations, compares))

    async def _answer(self, operations: Sequence[Operation], compares: Sequence[Compare]) -> TxnResult | StoreError:
        """Return what a caller is told, errors too: raised, they would end the others of the task group."""
        request = make_request(asyncio.get_running_loop().create_future(), compares, operations, 0)
        try:
            return await self.committer.ask(request)
        except StoreError as error:
            return error


@asynccontextmanager
async def bench(etcd: FakeEtcd, flights: int = 1) -> AsyncIterator[Bench]:
    async with asyncio.TaskGroup() as tasks:
        yield Bench(Committer(etcd.send, tasks, EtcdOptions(flights=flights), "etcd://test"), tasks)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_caller_waits_for_nobody_and_the_next_ones_go_together() -> None:
    etcd = FakeEtcd()
    async with bench(etcd) as desk:
        desk.ask(Put("a", b""))
        await turns()
        later = [desk.ask(Put(key, b"")) for key in "bcd"]
        await turns()
        assert etcd.sent == [["a"]]
        etcd.open.set()

    assert etcd.sent == [["a"], ["b", "c", "d"]]
    assert [task.result() for task in later] == [TxnResult(True, 7)] * 3


async def test_losers_drop_out_and_the_rest_goes_again() -> None:
    etcd = FakeEtcd(answer=lambda group: (len(group.requests) < 3, 9, [1, 5, 1] if len(group.requests) == 3 else ()))
    etcd.open.set()
    async with bench(etcd) as desk:
        tasks = [desk.ask(Put(key, b""), compares=(Compare(key, 1),)) for key in "abc"]

    assert etcd.sent == [["a", "b", "c"], ["a", "c"]]
    assert [task.result() for task in tasks] == [TxnResult(True, 9), TxnResult(False, 9), TxnResult(True, 9)]


async def test_what_has_failed_twice_goes_alone() -> None:
    def always_the_last(group: Group) -> Outcome:
        count = len(group.requests)
        return count == 1, 9, [1] * (count - 1) + [2]

    etcd = FakeEtcd(answer=always_the_last)
    etcd.open.set()
    async with bench(etcd) as desk:
        for key in "abcd":
            desk.ask(Put(key, b""), compares=(Compare(key, 1),))

    assert etcd.sent == [["a", "b", "c", "d"], ["a", "b", "c"], ["a"], ["b"]]


async def test_an_answer_that_was_lost_is_nobodys_success() -> None:
    etcd = FakeEtcd(answer=failing(Trouble.AWAY))
    etcd.open.set()
    async with bench(etcd) as desk:
        answers = await ends(desk.ask(Put("a", b"")), desk.ask(Put("b", b"")))

    assert answers == [StoreUnavailableError] * 2
    assert etcd.sent == [["a", "b"]]


async def test_one_that_etcd_refuses_does_not_take_its_group_along() -> None:
    etcd = FakeEtcd(answer=failing(Trouble.REFUSED, only="b"))
    etcd.open.set()
    async with bench(etcd) as desk:
        answers = await ends(*(desk.ask(Put(key, b"")) for key in "abc"))

    assert answers == [TxnResult, StoreError, TxnResult]
    assert etcd.sent == [["a", "b", "c"], ["a"], ["b"], ["c"]]


async def test_what_only_deletes_is_written_when_there_is_no_room() -> None:
    etcd = FakeEtcd(answer=failing(Trouble.FULL, only="put"))
    etcd.open.set()
    async with bench(etcd) as desk:
        answers = await ends(desk.ask(Put("put", b"")), desk.ask(Delete("delete")))

    assert answers == [StoreFullError, TxnResult]


async def test_a_lease_that_is_over_is_named() -> None:
    etcd = FakeEtcd(answer=failing(Trouble.NO_LEASE))
    etcd.open.set()
    async with bench(etcd) as desk:
        answer = await desk.ask(Put("a", b"", 77))

    assert isinstance(answer, LeaseOverError)
    assert answer.lease == 77


async def test_one_cancelled_before_it_went_never_goes() -> None:
    etcd = FakeEtcd()
    async with bench(etcd) as desk:
        desk.ask(Put("a", b""))
        await turns()
        cancelled = desk.ask(Put("b", b""))
        desk.ask(Put("c", b""))
        await turns()
        cancelled.cancel()
        etcd.open.set()

    assert etcd.sent == [["a"], ["c"]]


async def test_closing_waits_for_what_was_asked_and_takes_no_more() -> None:
    etcd = FakeEtcd()
    async with bench(etcd) as desk:
        first, second = desk.ask(Put("a", b"")), desk.ask(Put("a", b"2"))
        await turns()
        etcd.open.set()

        await desk.committer.close("closed")

        late = await desk.ask(Put("c", b""))
    assert await ends(first, second) == [TxnResult, TxnResult]
    assert isinstance(late, StoreUnavailableError)


async def ends(*tasks: asyncio.Task[TxnResult | StoreError]) -> list[type[object]]:
    """What each of them comes to."""
    return [type(await task) for task in tasks]


def failing(trouble: Trouble, only: str = "") -> Answer:
    """Fail the groups that touch a key, or all."""

    def answer(group: Group) -> Outcome:
        touched = {key for one in group.requests for key in keys(one.operations)}
        if only and only not in touched:
            return True, 7, ()
        raise CallError(trouble, "as told")

    return answer
