from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.faulty_store import FaultyStore
from typing_extensions import override

from airscrew.engine.clock import Clock
from airscrew.engine.timebase import (
    Anchor,
    EngineClock,
    LinuxBootClock,
    next_life,
    open_timebase,
    resume_time,
    write_anchor,
)
from airscrew.state.memory import MemoryStore

seconds = st.floats(0, 1e10)


class Machine(Clock):
    """A machine's clocks, set by hand; it is its own boot clock."""

    def __init__(self, wall: float = 1000.0, uptime: float = 50.0, boot: str = "boot-1") -> None:
        self.wall, self.up, self.boot, self.mono = wall, uptime, boot, 7.0

    @override
    def now(self) -> float:
        return self.wall

    @override
    def monotonic(self) -> float:
        return self.mono

    def boot_id(self) -> str:
        return self.boot

    def uptime(self) -> float:
        return self.up

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.up += seconds
        self.mono += seconds


class TestWithinALife:
    def test_a_step_of_the_wall_clock_changes_nothing(self) -> None:
        machine = Machine()
        clock = EngineClock(machine, 1000.0)

        machine.passes(5.0)
        machine.wall -= 3600

        assert clock.now() == 1005.0

    def test_it_passes_the_monotonic_time_through(self) -> None:
        assert EngineClock(Machine(), 1.0).monotonic() == 7.0


class TestAcrossLives:
    def test_without_an_anchor_it_is_the_wall_time(self) -> None:
        assert resume_time(None, wall=5.0, boot_id="b", uptime=1.0) == 5.0

    def test_on_the_same_boot_it_goes_on_exactly_whatever_the_wall_says(self) -> None:
        anchor = Anchor(time=1000.0, boot_id="b", uptime=50.0)

        assert resume_time(anchor, wall=1.0, boot_id="b", uptime=60.0) == 1010.0

    @pytest.mark.parametrize(("wall", "expected"), [(2000.0, 2000.0), (500.0, 1000.0)])
    def test_on_another_boot_it_is_the_wall_time_but_never_earlier(self, wall: float, expected: float) -> None:
        anchor = Anchor(time=1000.0, boot_id="b", uptime=50.0)

        assert resume_time(anchor, wall=wall, boot_id="other", uptime=60.0) == expected

    @pytest.mark.parametrize(("boot", "uptime"), [("", 60.0), ("b", 40.0)])
    def test_a_boot_that_cannot_be_told_counts_as_another(self, boot: str, uptime: float) -> None:
        anchor = Anchor(time=1000.0, boot_id=boot, uptime=50.0)

        assert resume_time(anchor, wall=2000.0, boot_id=boot, uptime=uptime) == 2000.0

    @given(time=seconds, before=seconds, wall=seconds, now=seconds, same=st.booleans())
    def test_it_never_runs_backwards(self, time: float, before: float, wall: float, now: float, same: bool) -> None:
        anchor = Anchor(time=time, boot_id="b", uptime=before)

        assert resume_time(anchor, wall=wall, boot_id="b" if same else "c", uptime=now) >= time

    async def test_a_life_goes_on_where_the_last_one_was(self) -> None:
        store, machine = MemoryStore(), Machine()
        first = await open_timebase(store, machine, machine)
        machine.passes(100.0)
        machine.wall -= 5000.0

        second = await open_timebase(store, machine, machine)

        assert (first.now(), second.now()) == (1100.0, 1100.0)

    async def test_a_store_that_takes_long_to_take_the_anchor_costs_no_time(self) -> None:
        store, machine = FaultyStore(), Machine()
        store.before_txn = lambda _: machine.passes(5.0)

        clock = await open_timebase(store, machine, machine)

        assert clock.now() == machine.now() == 1005.0

    async def test_after_a_boot_it_is_never_before_the_last_anchor(self) -> None:
        store, machine = MemoryStore(), Machine()
        await write_anchor(store, Anchor(time=9000.0, boot_id="boot-1", uptime=100.0))

        clock = await open_timebase(store, Machine(wall=10.0, boot="boot-2"), Machine(boot="boot-2"))

        assert clock.now() == 9000.0
        assert machine.now() == 1000.0

    def test_linux_says_which_boot_and_since_when(self) -> None:
        boot = LinuxBootClock()

        assert boot.boot_id() == LinuxBootClock().boot_id()
        assert 0 < boot.uptime() <= boot.uptime()


class TestLives:
    async def test_each_life_has_a_number_of_its_own(self) -> None:
        store = MemoryStore()

        assert [await next_life(store) for _ in range(3)] == [1, 2, 3]

    async def test_two_that_count_at_once_get_two_numbers(self) -> None:
        store = FaultyStore()
        found: list[int] = []

        async def count_beside(operations: object) -> None:
            store.before_txn = None
            found.append(await next_life(store.inner))

        store.before_txn = count_beside
        found.append(await next_life(store))

        assert sorted(found) == [1, 2]
