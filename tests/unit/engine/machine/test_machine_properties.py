from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.engine.machine.story import options
from tests.unit.engine.machine.world import World

from airscrew.engine.executor.declarations import AtMostOnce, Findable, Idempotent, NoEffect, StartDeclaration
from airscrew.engine.machine import Policy
from airscrew.state.records import CacheOptions, LedgerState, Options, Request, Stage

DECLARATIONS: list[StartDeclaration] = [
    Idempotent(),
    Idempotent(window=100.0),
    Findable(settle=30.0),
    AtMostOnce(),
    NoEffect(),
]

executions = st.builds(
    lambda timeouts, cache, attempts: options(timeouts=timeouts, cache=cache, max_attempts=attempts),
    st.dictionaries(st.sampled_from(["queued", "pending", "attempt", "total"]), st.sampled_from([20.0, 200.0])),
    st.sampled_from([None, CacheOptions(version="1", serializable=True)]),
    st.integers(1, 3),
)
policies = st.builds(
    Policy,
    system_retries=st.integers(0, 2),
    check_failures=st.sampled_from([2, 10]),
    kill_deadline=st.sampled_from([30.0, 900.0]),
)
HAPPENINGS = ["turn", "turn", "turn", "later", "later", "wake", "crash", "kill", "force", "retry", "away"]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), start=st.sampled_from(DECLARATIONS), opts=executions, policy=policies, finalizes=st.booleans())
def test_no_misfortune_breaks_an_invariant_and_all_comes_to_an_end(
    data: st.DataObject, start: StartDeclaration, opts: Options, policy: Policy, finalizes: bool
) -> None:
    world = World(lambda several: data.draw(st.sampled_from(several)), opts, start, policy, finalizes)

    for happening in data.draw(st.lists(st.sampled_from(HAPPENINGS), max_size=30)):
        happen(world, happening)
    comes_back(world)

    assert world.record.stage is Stage.DONE
    assert sum(world.alive.values()) == 0 or entry_is_unknown(world)


def happen(world: World, what: str) -> None:
    match what:
        case "turn":
            pass
        case "later":
            world.now += world.choose([0.5, 11.0, 100.0])
        case "wake":
            world.woken = True
        case "crash":
            world.crash()
        case "kill" | "force":
            world.requests["kill"] = Request(what="kill", reason="stop", force=what == "force")
        case "retry":
            world.requests["retry"] = Request(what="retry")
        case _:
            world.absent = not world.absent
    world.turn()


def comes_back(world: World) -> None:
    """All that the execution depends on works again, and somebody takes it out of quarantine."""
    world.good, world.absent = True, False
    for _ in range(40):
        if world.record.quarantine:
            world.requests["retry"] = Request(what="retry")
        wait = world.turn()
        if world.record.stage is Stage.DONE:
            return
        if wait.until is not None:
            world.now = max(world.now, wait.until)
    raise AssertionError(f"it never ends: {world.record}")


def entry_is_unknown(world: World) -> bool:
    from airscrew.engine.machine import ledger_entry

    entry = ledger_entry(world.stored, world.opts, "default/x")
    return entry is not None and entry.state is LedgerState.UNKNOWN
