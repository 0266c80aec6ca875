"""
One turn with an execution: look, decide, carry out, write, until there is nothing to do but wait.

Persist before effect: what a call hangs on is written before the call is made. A call that creates nothing outside may
be made over steps that are not written yet, so that a task without an effect costs one write. A look that finds
everything as it was costs none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from airscrew.engine.clock import Clock
from airscrew.engine.controller.accounting import begin_turn, end_turn
from airscrew.engine.controller.calls import Calls
from airscrew.engine.controller.commit import Committer
from airscrew.engine.controller.gates import Gate
from airscrew.engine.controller.live import Live
from airscrew.engine.controller.ownership import UNCERTAIN_SECONDS, Ownership, SoleOwner
from airscrew.engine.machine import (
    SWEEP,
    AskNeeds,
    Begin,
    CacheLookup,
    Call,
    CallFailed,
    Fact,
    JobGone,
    JobsFound,
    JobStillThere,
    NeedsTold,
    Policy,
    Start,
    StartUnknown,
    Step,
    Swept,
    Told,
    Traits,
    View,
    Wait,
    begin,
    is_backing_off,
    learn,
    next_action,
)
from airscrew.engine.metrics import NO_METERS, Meters
from airscrew.engine.quotas import OPEN, Asker, Hold, QuotaDesk
from airscrew.state.records import Place, Record, Stage

STEPS_LIMIT = 1000
"""A turn that takes more steps than that goes round in a circle: a defect of ours, found instead of spun on."""

CALLS_LIMIT = 8
"""After so many calls a turn ends, and the next execution has its own: one that wants to be looked at all the time."""

CONSUMED_LIMIT = 32
"""After so many requests they are written: a parent of many children gets more than a transaction can hold."""


class Dispatch(msgspec.Struct, frozen=True):
    """
    Who has an execution at the moment.

    Attributes:
        executor_id: The executor's id; empty when there is none.
        traits: What the machine needs to know of it; None when it is not there.
        gate: What holds its starts back; None when it is not there.
        absent: Why it is not there.
        outside: Where its jobs run, see ``Executor.outside``; empty when it is not there.
    """

    executor_id: str
    traits: Traits | None
    gate: Gate | None
    absent: str = ""
    outside: str = ""


@dataclass(slots=True, kw_only=True)
class Turns:
    """
    Takes turns with executions.

    Attributes:
        calls: Carries out calls.
        committer: Writes.
        dispatch: Says who has an execution.
        policy: The operator's.
        clock: The engine's time.
        nonce: Draws a random nonce.
        is_stopping: Whether no new start is to be made.
        owner: Whose executions they are.
        meters: Where turns are counted.
        quotas: Holds back starts for which no units of a quota are free; None without quotas.
    """

    calls: Calls
    committer: Committer
    dispatch: Callable[[Live], Dispatch]
    policy: Policy
    clock: Clock
    nonce: Callable[[], str]
    is_stopping: Callable[[], bool]
    owner: Ownership = field(default_factory=SoleOwner)
    meters: Meters = NO_METERS
    quotas: QuotaDesk | None = None

    async def take(self, live: Live) -> float | None:
        """
        Go on with an execution as far as it goes now; everything is written when this returns.

        Returns:
            When to look again, in the engine's time; None for never, unless something wakes it.

        Raises:
            ShardLostError: It is another engine's.
        """
        if not self.meters.are_kept:
            return await self._take(live)
        live.outside = live.outside or self.dispatch(live).outside
        account = begin_turn(self.meters, live, self.clock.now())
        until = await self._take(live)
        end_turn(self.meters, account, self.clock.now())
        return until

    async def _take(self, live: Live) -> float | None:
        attempt, calls = live.record.attempt, 0
        for _ in range(STEPS_LIMIT):
            given = self.dispatch(live)
            view = self._view(live, given)
            action = next_action(view)
            if isinstance(action, Step):
                await self._step(live, action.record, action.consumed, view.now)
                continue
            rest = self._rest(live, view, action, attempt, calls)
            if rest is not None:
                if live.is_dirty and not live.let_be() and not await self._write(live):
                    continue
                if not isinstance(action, Wait):
                    return rest.until
                self._settle_slot(live, view, given)
                return self._wake_time(rest.until, view, given)
            if isinstance(action, Begin):
                await self._begin(live, view, given)
            elif not isinstance(action, Wait):
                calls += await self._call(live, action, given)
        raise RuntimeError(f"{live.execution} took {STEPS_LIMIT} steps in one turn")

    def _rest(self, live: Live, view: View, action: Begin | Wait | Call, attempt: int, calls: int) -> Wait | None:
        """Say until when the turn ends here, once all is written; None to go on."""
        if isinstance(action, Wait):
            return action
        starts = isinstance(action, Begin | Start)
        if starts and self.is_stopping() and not live.fresh:
            return Wait(None)
        if starts and live.record.attempt != attempt:
            # Another attempt begins in a turn of its own: until then nobody could wake it by its key.
            return Wait(view.now)
        if isinstance(action, Begin):
            return None
        if calls >= CALLS_LIMIT and not live.fresh:
            return Wait(view.now)
        if not self.owner.is_certain:
            # Another engine may have it by now: nothing is begun outside until that is known.
            return Wait(view.now + UNCERTAIN_SECONDS)
        return None

    async def _step(self, live: Live, record: Record, consumed: tuple[str, ...], now: float) -> None:
        live.apply(record, now)
        for name in consumed:
            live.consume(name)
        if len(live.consumed) >= CONSUMED_LIMIT:
            await self._write(live)

    def _view(self, live: Live, given: Dispatch, *, calm: bool = True) -> View:
        now = self.clock.now()
        hold = OPEN if live.record.stage is not Stage.READY or given.gate is None else self._hold(live, given, now)
        pending = {name: request for name, (request, _) in live.requests.items() if name not in live.consumed}
        return View(
            record=live.record,
            options=live.options,
            traits=given.traits,
            absent=given.absent,
            policy=self.policy,
            now=now,
            requests=pending,
            learned={name: live.learned_at(name, now) for name, one in pending.items() if one.what == SWEEP},
            fresh=live.fresh,
            woken=live.woken,
            gate=hold.reason,
            place=hold.place,
            opens_at=hold.opens_at,
            tokens=hold.tokens,
            asks_needs=hold.asks,
            calm=calm,
        )

    def _hold(self, live: Live, given: Dispatch, now: float) -> Hold:
        """Say what holds a start back: the executor's gate, else a quota."""
        reason = "" if given.gate is None else given.gate.why_closed(live.execution, now)
        if reason:
            return Hold(reason=reason, place=self._place_aside(live))
        if self.quotas is None or given.traits is None:
            return OPEN
        if is_backing_off(live.record, woken=live.woken, now=now):
            return OPEN
        told = live.needs if live.needs is not None or given.traits.says_needs else NeedsTold()
        return self.quotas.look(
            Asker(
                execution=live.execution,
                executor=given.executor_id,
                own=None if told is None else (told.pool, told.units),
                project=live.options.task_id.get("project", ""),
                labels=live.options.labels,
                place=live.record.waits,
                shown=live.record.reason if live.record.waits is not None else "",
            ),
            now,
        )

    def _place_aside(self, live: Live) -> Place | None:
        """Keep the place in the line for a quota while the executor's gate is closed; others go meanwhile."""
        place = live.record.waits
        return None if place is None or self.quotas is None else msgspec.structs.replace(place, aside=True)

    async def _begin(self, live: Live, view: View, given: Dispatch) -> None:
        """Write the intent; only this life, which has just written it, knows that nothing was called yet."""
        if given.gate is not None:
            given.gate.take(live.execution)
        if self.quotas is not None and view.tokens:
            self.quotas.reserve(live.execution, view.tokens)
        live.apply(begin(view, self.nonce()), view.now)
        live.fresh = await self._write(live)
        if self.quotas is not None and view.tokens:
            project = live.options.task_id.get("project", "")
            await self.quotas.settle(live.execution, view.tokens, project, live.revision if live.fresh else 0)

    async def _call(self, live: Live, call: Call, given: Dispatch) -> bool:
        """Make a call, or first write what it hangs on; True when it was made."""
        effectless = isinstance(call, CacheLookup | AskNeeds) or (
            isinstance(call, Start) and given.traits is not None and not given.traits.has_effect
        )
        if live.is_dirty and not effectless and not live.let_be():
            await self._write(live)
            return False
        live.check_kept()
        live.woken = False
        if isinstance(call, Start):
            live.fresh = False
            live.asked = live.record
        fact = await self.calls.perform(live, given.executor_id, call)
        self._learn(live, given, fact)
        return True

    def _learn(self, live: Live, given: Dispatch, fact: Fact) -> None:
        now = self.clock.now()
        calm = given.gate is None or self._is_calm(live, given.gate, fact, now)
        live.apply(learn(self._view(live, given, calm=calm), fact), now)
        live.facts.append(fact)
        if isinstance(fact, NeedsTold):
            live.needs = fact
        if isinstance(fact, Swept) and fact.again_at is None and live.revision_of(fact.request) == fact.revision:
            live.consume(fact.request)

    def _is_calm(self, live: Live, gate: Gate, fact: Fact, now: float) -> bool:
        """Tell whether a failure may be the execution's own, and not its executor's."""
        if isinstance(fact, Told | JobsFound | JobGone | JobStillThere):
            gate.well(live.execution, now)
        # From half way on: the executor's trouble is to be known before the first one is quarantined.
        enough = live.record.failures + 1 >= max(self.policy.check_failures // 2, 1)
        if enough and isinstance(fact, CallFailed | StartUnknown) and not fact.is_outage:
            return gate.trouble(live.execution, now)
        return True

    async def _write(self, live: Live) -> bool:
        if await self.committer.commit(live):
            return True
        await self._rebase(live)
        return False

    async def _rebase(self, live: Live) -> None:
        """
        After a conflict: go back to what is stored, and apply the facts again; decisions are taken anew.

        Facts of an attempt that is over for the store by now say nothing of the one that follows it.
        """
        attempt = live.record.attempt
        facts = await self.committer.read_again(live)
        if live.record.attempt != attempt:
            return
        given = self.dispatch(live)
        for fact in facts:
            self._learn(live, given, fact)

    def abandon(self, live: Live) -> None:
        """Give back what an execution holds here: another engine has it."""
        gate = self.dispatch(live).gate
        if gate is not None:
            gate.forget(live.execution)
            gate.give_back(live.execution)
        self.leave_line(live)

    def leave_line(self, live: Live) -> None:
        """Let others go before an execution that waits for a quota: it has no turns for now."""
        if self.quotas is not None:
            self.quotas.leave(live.execution)

    def _settle_slot(self, live: Live, view: View, given: Dispatch) -> None:
        if live.record.waits is None or live.record.waits.aside:
            self.leave_line(live)
        if given.gate is None:
            return
        if live.record.quarantine or live.record.stage is Stage.DONE:
            given.gate.forget(live.execution)
        if may_be_outside(live.record):
            given.gate.take(live.execution)
        elif not view.gate or (view.place is not None and not view.place.aside):
            # Who waits for a quota keeps nobody from a slot.
            given.gate.give_back(live.execution)

    def _wake_time(self, until: float | None, view: View, given: Dispatch) -> float | None:
        if view.gate and given.gate is not None and given.gate.is_open(view.now):
            return min(until or given.gate.open_until, given.gate.open_until)
        return until


def may_be_outside(record: Record) -> bool:
    """Tell whether a record's attempt may have something outside that the engine still sees to."""
    return record.stage is not Stage.DONE and (record.created or record.intent is not None)
