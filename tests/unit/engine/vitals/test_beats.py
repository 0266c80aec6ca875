"""The loops that keep vitals up to date, on virtual time."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.faulty_store import FaultyStore

from airscrew.engine.clock import LoopClock
from airscrew.engine.metrics import Recorder
from airscrew.engine.metrics.names import LOOP_LAG
from airscrew.engine.testing.virtual_time import elapse
from airscrew.engine.vitals import Instruments, Vitals
from airscrew.engine.vitals.beats import beat, look_at_store
from airscrew.state.beside import running_beside
from airscrew.state.store import KeyValue

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def vitals() -> Vitals:
    return Vitals(monotonic=LoopClock().monotonic)


async def test_a_loop_that_runs_beats_and_its_lag_is_measured(vitals: Vitals) -> None:
    recorder = Recorder()

    async with running_beside(beat=beat(Instruments(vitals=vitals, meters=recorder))):
        await elapse(100.0)

        assert vitals.live().is_yes
        assert 190 <= sum(recorder.histograms[LOOP_LAG, ()].counts) <= 200
    await elapse(31.0)
    assert not vitals.live().is_yes


async def test_a_store_that_is_away_is_noticed_and_so_is_its_return(vitals: Vitals) -> None:
    store = FaultyStore()

    async with running_beside(look=look_at_store(vitals, store, lambda: True)):
        await elapse(5.0)
        assert vitals.store_trouble == ""

        store.down = True
        await elapse(5.0)
        assert vitals.store_trouble == "the store is away"

        store.down = False
        await elapse(5.0)
        assert vitals.store_trouble == ""


async def test_a_store_that_does_not_answer_is_noticed(vitals: Vitals) -> None:
    class Silent(FaultyStore):
        async def get(self, key: str) -> KeyValue | None:
            await asyncio.Event().wait()
            return await super().get(key)

    async with running_beside(look=look_at_store(vitals, Silent(), lambda: True)):
        await elapse(6.0)

    assert vitals.store_trouble == "the store did not answer in 5 s"


async def test_a_member_whose_lease_is_not_certain_is_not_ready(vitals: Vitals) -> None:
    vitals.has_begun = True

    async with running_beside(look=look_at_store(vitals, FaultyStore(), lambda: False)):
        await elapse(1.0)

    assert "the lease was not renewed in time" in vitals.ready().reason
