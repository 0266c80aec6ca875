"""
Defects that the simulation found, each as the shortest story of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.support.engine_kit import Rig
from tests.support.scripted import Count, Scripted
from tests.unit.engine.machine.story import Story

from airscrew.engine.controller.live import Live
from airscrew.engine.controller.turn import Turns
from airscrew.engine.errors import PluginCrashError, plugin_wall
from airscrew.engine.executor import Findable, Idempotent, StillThere
from airscrew.engine.machine import FindJobs, JobsFound, Start, StartUnknown, learn
from airscrew.engine.testing.virtual_time import elapse
from airscrew.state.records import Stage

pytestmark = pytest.mark.virtual_time


class Renamed(Scripted):
    """A newer version of the executor: its state has got another shape."""

    state_version = 2

    def migrate_state(self, state: Mapping[str, object], version: int) -> Mapping[str, object]:
        assert "old" in state, f"version {version} has no {sorted(state)}"
        return {"job": state["old"]}


class TestStateVersion:
    async def test_the_state_of_a_kill_under_way_is_kept_with_the_version_that_wrote_it(self) -> None:
        rig, live = Rig(Renamed()), Rig().live()
        turns = rig.turns()
        await turns.take(live)
        live.record = _with_state(live, b'{"old": "j"}', 1)
        rig.executor.will("kill_task", StillThere(Count(job="j"), 0.0))

        await rig.hand(live, "kill", reason="stop")
        await turns.take(live)
        await turns.take(live)

        assert (live.record.stage, live.record.state_version) == (Stage.DONE, 2)
        assert rig.executor.count("kill_task") == 2


class TestAbsence:
    def test_a_list_from_before_settle_is_no_absence_however_late_it_is_learned(self) -> None:
        story = Story(start=Findable(settle=60.0))
        story.goes_on()
        story.restarts()
        asked_at = story.now

        story.now += 100.0
        action = story.tell(JobsFound(None, asked_at=asked_at))

        assert isinstance(action, FindJobs)
        assert story.record.stage is Stage.STARTING

    def test_a_list_says_nothing_of_a_start_that_was_resolved_meanwhile(self) -> None:
        story = Story(start=Findable(settle=60.0))
        story.runs()

        record = learn(story.view(), JobsFound(None, asked_at=story.now))

        assert record is story.record


class TestWindow:
    def test_a_start_whose_intent_took_longer_to_write_than_the_key_is_kept_is_not_made_again(self) -> None:
        story = Story(start=Idempotent(window=100.0))
        story.goes_on()
        story.tell(StartUnknown("lost"))
        assert isinstance(story.after(2.0), Start)

        story.now += 100.0
        action = story.goes_on()

        assert not isinstance(action, Start)
        assert story.record.error is not None
        assert story.record.error.code == "StartOutcomeUnknown"

    def test_the_first_start_is_made_however_long_its_intent_took(self) -> None:
        story = Story(start=Idempotent(window=100.0))
        assert isinstance(story.goes_on(), Start)

        assert isinstance(story.after(1000.0), Start)


class TestRequests:
    async def test_a_kill_that_came_to_a_turn_that_failed_is_heard_by_the_next_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rig = Rig()
        await rig.submit()
        take = Turns.take

        async with rig.engine():
            await elapse(5)
            monkeypatch.setattr(Turns, "take", _fail)
            await rig.ask("a", "kill", reason="stop")
            await elapse(1)
            monkeypatch.setattr(Turns, "take", take)
            await elapse(20)

        assert (await rig.record()).kill == "stop"
        assert rig.executor.count("kill_task") == 1


class TestWall:
    async def test_a_call_that_nobody_awaits_any_more_ends_without_a_word(self) -> None:
        async def call() -> None:
            with plugin_wall("a call"):
                await elapse(1)

        coroutine = call()
        coroutine.send(None)

        coroutine.close()

    def test_what_a_plugin_must_not_raise_is_an_exception_outside(self) -> None:
        with pytest.raises(PluginCrashError, match="a call raised SystemExit"), plugin_wall("a call"):
            raise SystemExit


async def _fail(self: Turns, live: Live) -> float | None:
    raise RuntimeError("a defect of ours")


def _with_state(live: Live, state: bytes, version: int) -> object:
    import msgspec

    return msgspec.structs.replace(live.record, state=msgspec.Raw(state), state_version=version)
