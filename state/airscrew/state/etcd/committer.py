"""
Group commit: what waits goes together.

One caller alone waits for nobody: its transaction goes at the end of the loop's turn. Once as many transactions as are
allowed are under way, whatever comes waits for one to return and then goes with all that came meanwhile, so the groups
grow with the load and shrink with it.

A request that was cancelled before it went has not happened; one on its way goes on without its caller.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from copy import copy

from airscrew.state.errors import LeaseOverError, StoreError, StoreUnavailableError
from airscrew.state.etcd.failures import CallError, Trouble, translate
from airscrew.state.etcd.group import TRIES_TOGETHER, Group, Request
from airscrew.state.etcd.options import EtcdOptions
from airscrew.state.store import TxnResult

Outcome = tuple[bool, int, Sequence[int]]
"""Whether a group was written, the revision, and the revisions of the keys it asked for when it was not."""

Send = Callable[[Group], Awaitable[Outcome]]

_MOST_LOOKED_AT = 512
"""How many waiting requests are looked at for one group."""

_CERTAIN = frozenset({Trouble.REFUSED, Trouble.FULL, Trouble.TOO_LARGE, Trouble.NO_LEASE})
"""What says that a group has not happened, though not which of its requests is to blame."""


class Committer:
    """Sends transactions in groups; its tasks live in the group of the store that owns it."""

    def __init__(self, send: Send, tasks: asyncio.TaskGroup, options: EtcdOptions, name: str) -> None:
        """
        Begin with nothing under way.

        Args:
            send: Sends a group.
            tasks: Where its tasks live.
            options: Its limits.
            name: The store's, for errors.
        """
        self._send = send
        self._tasks = tasks
        self._options = options
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Request] = deque()
        self._flying: set[asyncio.Task[None]] = set()
        self._is_called = False
        self._closed = ""

    async def ask(self, request: Request) -> TxnResult:
        """Send a request, with others or alone, and return what became of it."""
        if self._closed:
            raise StoreUnavailableError(self._closed)
        self._waiting.append(request)
        self._call_soon()
        return await request.future

    async def close(self, reason: str) -> None:
        """Take no more, and wait for what is under way or waits."""
        self._closed = reason
        while self._waiting or self._flying:
            self._depart()
            if self._flying:
                await asyncio.wait(self._flying)

    def _call_soon(self) -> None:
        if not self._is_called and len(self._flying) < self._options.flights:
            self._is_called = True
            self._loop.call_soon(self._depart)

    def _depart(self) -> None:
        """Send as many groups as may fly."""
        self._is_called = False
        while self._waiting and len(self._flying) < self._options.flights:
            group = self._pack()
            if group.requests:
                task = self._tasks.create_task(self._fly(group), name="etcd-transaction")
                self._flying.add(task)
                task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flying.discard(task)
        if self._waiting:
            self._call_soon()

    def _pack(self) -> Group:
        """Make a group of what waits: the oldest for certain, so nobody waits for ever."""
        group = Group(self._options)
        left: list[Request] = []
        for _ in range(min(len(self._waiting), _MOST_LOOKED_AT)):
            request = self._waiting.popleft()
            if not request.future.done() and not group.take(request):
                left.append(request)
            if group.requests and group.is_full:
                break
        self._waiting.extendleft(reversed(left))
        return group

    async def _fly(self, group: Group) -> None:
        try:
            succeeded, revision, revisions = await self._send(group)
        except CallError as failure:
            self._failed(group, failure)
        except StoreError as error:
            self._tell(group, error)
        except BaseException:
            self._tell(group, StoreUnavailableError(f"the store {self._name} was interrupted"))
            raise
        else:
            if succeeded:
                for request in group.requests:
                    _settle(request, TxnResult(True, revision))
            else:
                self._drop_losers(group, revision, revisions)

    def _drop_losers(self, group: Group, revision: int, revisions: Sequence[int]) -> None:
        """Answer those whose compares do not hold, and send the others again, before all who came later."""
        again: list[Request] = []
        for request, holds in group.judge(revisions):
            if holds:
                request.failures += 1
                again.append(request)
            else:
                _settle(request, TxnResult(False, revision))
        self._waiting.extendleft(reversed(again))

    def _failed(self, group: Group, failure: CallError) -> None:
        """Send each again by itself when it is certain that nothing happened and not whose fault it is."""
        if failure.trouble is Trouble.NO_LEASE and (lease := group.requests[0].lease):
            _settle(group.requests[0], LeaseOverError(lease))
            return
        if len(group.requests) == 1 or failure.trouble not in _CERTAIN:
            self._tell(group, translate(failure, self._name))
            return
        error = translate(failure, self._name)
        again: list[Request] = []
        for request in group.requests:
            if failure.trouble is Trouble.FULL and not request.frees:
                _settle(request, copy(error))
            else:
                request.failures = TRIES_TOGETHER
                again.append(request)
        self._waiting.extendleft(reversed(again))

    def _tell(self, group: Group, error: StoreError) -> None:
        for request in group.requests:
            # Each caller raises an error of its own: one that is raised twice would grow a traceback of both.
            _settle(request, copy(error))


def _settle(request: Request, answer: TxnResult | StoreError) -> None:
    """Answer a caller who still waits."""
    if request.future.done():
        return
    if isinstance(answer, TxnResult):
        request.future.set_result(answer)
    else:
        request.future.set_exception(answer)
