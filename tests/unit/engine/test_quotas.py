"""Quotas in an engine: tokens go with ledger entries, whatever happens to the engine or the execution."""

from __future__ import annotations

import pytest
from tests.support.engine_kit import EPOCH, Rig, name_of, phases
from tests.support.scripted import Count, Scripted, failure, success

from airscrew.engine.config import Quota
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import AtMostOnce, NoEffect, NotStarted, ResourceRequirements, TaskStatus
from airscrew.engine.machine import Policy
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.records import LedgerState, Stage, TokenHolder, decode

pytestmark = pytest.mark.virtual_time(limit_seconds=100_000)


def rig_of(limit: int, start: object = None, **changes: object) -> Rig:
    executor = Scripted(start)  # type: ignore[arg-type]
    quota = {name: changes.pop(name) for name in ("namespace", "project", "namespaces") if name in changes}
    changes["limit"] = changes.pop("slots", None)
    return Rig(executor, pools={"few": Quota(limit=limit, executors=("scripted",), **quota)}, **changes)  # type: ignore[arg-type]


async def submit_in_turn(rig: Rig, names: str) -> None:
    """Submit one after the other, each when the one before it has had its turn."""
    for name in names:
        await rig.submit(name)
        await elapse(0.5)


async def tokens(rig: Rig) -> list[str]:
    return sorted(key.removeprefix(keys.QUOTA_TOKENS) for key in await rig.below(keys.QUOTA_TOKENS))


async def waiting(rig: Rig) -> list[str]:
    return sorted(key.rpartition("/")[2] for key in await rig.below(keys.QUOTA_LINE))


def running(rig: Rig) -> list[str]:
    """Name those that were started, in that order."""
    return [name for method, name, _ in rig.executor.calls if method == "start_task"]


class TestTokens:
    async def test_a_token_is_taken_with_the_intent_and_given_back_with_the_entry(self) -> None:
        rig = rig_of(1)
        seen: list[tuple[int, int]] = []

        async def look(_: object) -> None:
            seen.append((len(await rig.ledger()), len(await tokens(rig))))

        rig.store.before_txn = look
        rig.executor.ends["a"] = success
        await rig.submit("a")
        async with rig.engine():
            await elapse(60)
            await look(None)

        assert {(0, 0), (1, 1)} == set(seen), "the ledger and the tokens never differ"
        assert seen[-1] == (0, 0)
        assert (await rig.record()).phase is Phase.SUCCESS

    async def test_a_token_says_who_has_it_and_the_entry_says_so_too(self) -> None:
        rig = rig_of(1, namespace=1)
        await rig.submit("a", task_id={"project": "blue"})
        async with rig.engine():
            await elapse(5)
            [entry] = await rig.ledger()
            held = await rig.below(keys.QUOTA_TOKENS)

        assert sorted(entry.tokens) == await tokens(rig) == ["few/0", "few/namespace=default/0"]
        assert {decode(value, TokenHolder) for value in held.values()} == {
            TokenHolder(execution="default/a", key=rig.key("a"), project="blue")
        }

    async def test_the_second_waits_and_says_for_what_and_goes_when_the_first_is_over(self) -> None:
        rig = rig_of(1)
        await rig.submit("a")
        await rig.submit("b")
        async with rig.engine():
            await elapse(20)
            record = await rig.record("b")
            assert (record.phase, record.reason) == (Phase.WAITING_FOR_RESOURCES, "waits for quota few: 1 of 1 used")
            assert await waiting(rig) == ["b"]
            rig.executor.ends["a"] = success
            await elapse(10.5)

            assert running(rig) == ["a", "b"]
            assert await waiting(rig) == []
        assert phases(await rig.events("b"))[:2] == [Phase.QUEUED, Phase.WAITING_FOR_RESOURCES]

    async def test_those_who_wait_go_in_the_order_in_which_they_came_but_for_priorities(self) -> None:
        rig = rig_of(1)
        for name in ("a", "z", "m", "b"):
            await rig.submit(name, labels={"airscrew/priority": "1"} if name == "b" else {})
            rig.executor.ends[name] = success
            if name == "a":
                first = rig.engine()
                await first.__aenter__()
            await elapse(0.5)
        await elapse(120)
        await first.__aexit__(None, None, None)

        assert running(rig) == ["a", "b", "z", "m"]

    async def test_a_crash_at_any_moment_leaves_the_tokens_of_the_open_entries(self) -> None:
        rig = rig_of(2)
        for name in "abcd":
            await rig.submit(name)
        for _ in range(6):
            async with rig.engine(crash=True):
                await elapse(7)
                assert len(await tokens(rig)) == len(await rig.ledger()) == 2
        rig.executor.ends.update(dict.fromkeys("abcd", success))
        async with rig.engine():
            await elapse(100)

        assert await tokens(rig) == await waiting(rig) == []
        assert sorted(running(rig)) == list("abcd"), "each was started once"

    async def test_the_line_is_kept_over_a_restart(self) -> None:
        rig = rig_of(1)
        for name in ("a", "z", "m"):
            await rig.submit(name)
            async with rig.engine(crash=True):
                await elapse(3)
        rig.executor.ends.update(dict.fromkeys("azm", success))
        async with rig.engine():
            await elapse(100)

        assert running(rig) == ["a", "z", "m"]

    async def test_who_is_killed_while_it_waits_leaves_the_line_and_takes_nothing(self) -> None:
        rig = rig_of(1)
        async with rig.engine():
            await submit_in_turn(rig, "abc")
            await rig.ask("b", "kill")
            await elapse(1)
            assert await waiting(rig) == ["c"]
            rig.executor.ends["a"] = success
            await elapse(11)

        assert running(rig) == ["a", "c"]
        assert (await rig.record("b")).phase is Phase.ABORTED

    async def test_a_token_is_kept_as_long_as_a_kill_is_not_confirmed(self) -> None:
        rig = rig_of(1, policy=Policy(kill_deadline=30.0))
        await rig.submit("a")
        await rig.submit("b")
        async with rig.engine():
            await elapse(5)
            rig.executor.will("kill_task", *[OSError("away")] * 5)
            await rig.ask("a", "kill", force=True)
            await elapse(2)
            assert (await rig.record("a")).ended_at
            assert running(rig) == ["a"]
            await elapse(100)

        assert running(rig) == ["a", "b"]

    async def test_a_start_that_nobody_can_tell_of_keeps_its_token_until_it_is_cleared(self) -> None:
        rig = rig_of(1, AtMostOnce())
        rig.executor.will("start_task", OSError("no answer"))
        await rig.submit("a")
        await rig.submit("b")
        async with rig.engine():
            await elapse(100)
            [entry] = await rig.ledger()
            assert (entry.state, len(entry.tokens)) == (LedgerState.UNKNOWN, 1)
            assert running(rig) == ["a"]
            await rig.ask("a", "clear", attempt=0)
            await elapse(5)

        assert running(rig) == ["a", "b"]

    async def test_another_attempt_stands_in_the_line_like_anybody(self) -> None:
        rig = rig_of(1)
        rig.executor.ends["a"] = failure
        await rig.submit("a", max_attempts=2)
        await rig.submit("b")
        async with rig.engine():
            await elapse(60)

        assert running(rig) == ["a", "b"]
        assert (await rig.record("a")).phase is Phase.WAITING_FOR_RESOURCES

    async def test_what_was_not_started_gives_its_token_back(self) -> None:
        rig = rig_of(1)
        rig.executor.will("start_task", NotStarted("busy", 50.0))
        await rig.submit("a")
        async with rig.engine():
            await elapse(5)
            assert await tokens(rig) == []
            await rig.submit("b")
            await elapse(5)
            assert running(rig) == ["a", "b"]

    async def test_an_execution_that_waits_for_its_children_leaves_its_token_to_them(self) -> None:
        rig = rig_of(1)
        rig.executor.will("start_task", TaskStatus.running(Count()))
        await rig.submit("a")
        async with rig.engine():
            await elapse(2)
            assert len(await tokens(rig)) == 1
            rig.data.outcomes.append(_planned())
            rig.executor.ends["a"] = success
            await elapse(12)
            assert (await rig.record("a")).stage is Stage.CHILDREN
            assert await tokens(rig) == []

    async def test_one_without_an_effect_holds_a_token_while_it_is_live(self) -> None:
        rig = rig_of(1, NoEffect())
        await rig.submit("a")
        await rig.submit("b")
        async with rig.engine():
            await elapse(25)
            assert running(rig) == ["a"]
            assert len(await rig.ledger()) == 1
            rig.executor.ends.update(a=success, b=success)
            await elapse(25)

        assert running(rig) == ["a", "b"]
        assert await rig.ledger() == []

    async def test_a_quota_that_is_taken_away_lets_all_go_and_strikes_off_what_was_taken(self) -> None:
        rig = rig_of(1)
        await rig.submit("a")
        await rig.submit("b")
        async with rig.engine():
            await elapse(5)
        rig.pools = {}
        rig.executor.ends.update(a=success, b=success)
        async with rig.engine():
            await elapse(30)

        assert running(rig) == ["a", "b"]
        assert await tokens(rig) == await waiting(rig) == []


class TestLimits:
    async def test_a_namespace_at_its_share_waits_and_others_go(self) -> None:
        rig = rig_of(3, namespace=1)
        await rig.submit("a")
        await rig.submit("b")
        async with rig.engine():
            await elapse(5)
            reason = (await rig.record("b")).reason

        assert reason == "waits for quota few (namespace default): 1 of 1 used"
        assert running(rig) == ["a"]

    async def test_a_larger_limit_lets_more_go_and_a_smaller_one_lets_run_what_runs(self) -> None:
        rig = rig_of(2)
        async with rig.engine():
            await submit_in_turn(rig, "abcd")
        for limit, expected in ((2, "ab"), (3, "abc"), (1, "abc")):
            rig.pools = {"few": Quota(limit=limit, executors=("scripted",))}
            async with rig.engine():
                await elapse(20)
                assert "".join(running(rig)) == expected
        rig.pools = {"few": Quota(limit=1, executors=("scripted",))}
        async with rig.engine():
            rig.executor.ends.update(a=success, b=success)
            await elapse(25)
            assert "".join(running(rig)) == "abc", "one of the new limit still runs"
            rig.executor.ends.update(c=success)
            await elapse(25)
        assert "".join(running(rig)) == "abcd"

    async def test_a_limit_of_none_at_all_closes_the_pool(self) -> None:
        rig = rig_of(0)
        await rig.submit("a")
        async with rig.engine():
            await elapse(1000)

        assert running(rig) == []
        assert (await rig.record()).reason == "waits for quota few: 0 of 0 used"

    async def test_while_it_waits_nothing_is_written_again_and_again(self) -> None:
        rig = rig_of(1)
        async with rig.engine():
            await submit_in_turn(rig, "abc")
            rig.executor.ends["a"] = success
            await elapse(9000)

        assert phases(await rig.events("c")) == [Phase.QUEUED, Phase.WAITING_FOR_RESOURCES]

    async def test_the_deadline_of_the_queue_runs_while_it_waits(self) -> None:
        rig = rig_of(0)
        await rig.submit("a", timeouts={"queued": 30.0})
        async with rig.engine():
            await elapse(40)

        record = await rig.record()
        assert record.error is not None
        assert record.error.code == "QueuedTimeout"
        assert "waits for quota few: 0 of 0 used" in record.error.message
        assert await waiting(rig) == []


class Asking(Scripted):
    """Says what its tasks take: ``units`` of ``pool``, or what ``answer`` raises."""

    answer: object = ResourceRequirements(pool="own", units=2)
    asked = 0

    def resource_requirements(self, context: object, template: object) -> ResourceRequirements | None:
        self.asked += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[return-value]


def asking(pools: dict[str, Quota], answer: object = None) -> tuple[Rig, Asking]:
    executor = Asking()
    if answer is not None:
        executor.answer = answer
    return Rig(executor, pools=pools, says_needs=True), executor


class TestNeeds:
    async def test_an_executor_is_asked_once_and_its_units_count(self) -> None:
        rig, executor = asking({"own": Quota(limit=3)})
        await rig.submit("a")
        await rig.submit("b")
        async with rig.engine():
            await elapse(30)

        assert executor.asked == 2
        assert len(await tokens(rig)) == 2
        assert (await rig.record("b")).reason == "waits for quota own: 2 of 3 used, 2 wanted"

    async def test_it_is_not_asked_where_no_quota_is_set(self) -> None:
        rig, executor = asking({})
        await rig.submit("a")
        async with rig.engine():
            await elapse(5)

        assert executor.asked == 0
        assert rig.executor.count("start_task") == 1

    async def test_a_pool_that_is_not_set_limits_nothing(self) -> None:
        rig, _ = asking({"another": Quota(limit=0)})
        await rig.submit("a")
        async with rig.engine():
            await elapse(5)

        assert rig.executor.count("start_task") == 1
        assert await tokens(rig) == []

    async def test_the_operator_binds_its_tasks_to_another_pool(self) -> None:
        rig, _ = asking({"own": Quota(limit=0), "bound": Quota(limit=1, executors=("scripted",))})
        await rig.submit("a")
        async with rig.engine():
            await elapse(5)

        assert [token.partition("/")[0] for token in await tokens(rig)] == ["bound"]

    @pytest.mark.parametrize("units", [0, 21, 4])
    async def test_what_can_never_be_had_fails_the_task_and_is_the_users(self, units: int) -> None:
        rig, _ = asking({"own": Quota(limit=3)}, ResourceRequirements(pool="own", units=units))
        await rig.submit("a")
        async with rig.engine():
            await elapse(5)

        record = await rig.record()
        assert record.error is not None
        assert (record.error.code, record.error.kind) == ("ResourceRequestsExceedLimits", ErrorKind.USER)
        assert f"{units} units of quota own" in record.error.message
        assert rig.executor.count("start_task") == 0

    async def test_an_instruction_ends_it_and_any_other_error_is_asked_again(self) -> None:
        rig, _ = asking({"own": Quota(limit=3)}, PermanentError("no such pool", code="BadPool"))
        await rig.submit("a")
        async with rig.engine():
            await elapse(5)
        record = await rig.record()
        assert record.error is not None
        assert record.error.code == "BadPool"

        rig, executor = asking({"own": Quota(limit=3)}, OSError("away"))
        await rig.submit("a")
        async with rig.engine():
            await elapse(1.5)
            assert "away" in (await rig.record()).reason
            executor.answer = None
            await elapse(10)
        assert executor.count("start_task") == 1

    async def test_an_answer_that_is_none_of_these_starts_nothing(self) -> None:
        rig, _ = asking({"own": Quota(limit=3)}, "own")
        await rig.submit("a")
        async with rig.engine():
            await elapse(2)

        assert "resource_requirements of scripted returned str" in (await rig.record()).reason
        assert rig.executor.count("start_task") == 0


class TestTrouble:
    async def test_a_token_that_another_engine_took_meanwhile_is_left_and_another_one_taken(self) -> None:
        rig = rig_of(2)
        await rig.submit("a")
        stolen: list[str] = []

        async def steal(operations: object) -> None:
            if not stolen and rig.desk is not None:
                for operation in operations:  # type: ignore[attr-defined]
                    if operation.key.startswith(keys.QUOTA_TOKENS):
                        stolen.append(operation.key)
                        await _take(rig, operation.key, "default/other")

        rig.store.before_txn = steal
        async with rig.engine():
            await elapse(5)

        assert stolen
        assert len(await tokens(rig)) == 2
        assert rig.executor.count("start_task") == 1

    async def test_the_concurrency_of_an_executor_counts_beside_its_quota(self) -> None:
        rig = rig_of(3, slots=1)
        for name in "ab":
            await rig.submit(name)
            rig.executor.ends[name] = success
        async with rig.engine():
            await elapse(5)
            assert "free slot" in (await rig.record("b")).reason
            await elapse(30)

        assert running(rig) == ["a", "b"]

    async def test_a_place_in_the_line_is_kept_while_the_gate_of_the_executor_is_closed(self) -> None:
        rig = rig_of(1)
        rig.executor.ends["a"] = success
        async with rig.engine() as controller:
            await submit_in_turn(rig, "abc")
            rig.gate._open_until = rig.clock.now() + 8.0
            controller.wake(name_of("b"))
            await elapse(1)
            shown, since = await rig.record("b"), (await rig.record("b")).waits
            await elapse(60)

        assert "in trouble" in shown.reason
        assert since is not None
        assert since.aside
        assert running(rig) == ["a", "b"], "the others come behind it, though it was asked to wait meanwhile"

    async def test_who_waits_for_a_quota_keeps_nobody_from_a_slot(self) -> None:
        rig = rig_of(3, slots=2, namespaces={"default": 1})
        await rig.submit("a")
        await rig.submit("b")
        async with rig.engine():
            await elapse(5)
            assert rig.gate.live == 1
            assert rig.gate.why_closed(name_of("c"), EPOCH) == ""


async def _take(rig: Rig, key: str, execution: str) -> None:
    from airscrew.idl.ids import AttemptKey
    from airscrew.state.records import encode
    from airscrew.state.store import Put

    holder = TokenHolder(execution=execution, key=AttemptKey("other"))
    await rig.store.inner.txn([], [Put(key, encode(holder))])


def _planned() -> object:
    from airscrew.engine.controller.ports import Outcome

    return Outcome(plan_uri="memory:plan")
