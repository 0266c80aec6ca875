"""
The executions that somebody waits for, as the store shows them.

Guarantees:

1. Each is watched once, however many wait for it, and no longer than somebody does or until it is over.
2. A change that matters wakes all who wait for it; nothing is asked for by time, but for a store that was away.
3. An error of one watch is its own: it is shown, and the watch begins again after a pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airscrew.engine.api.model import ApiError
from airscrew.idl.errors import ErrorKind
from airscrew.idl.json_tree import is_array, is_object
from airscrew.idl.phase import Phase

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutionView

AGAIN_SECONDS = 2.0

PATIENCE_SECONDS = 5.0
"""For so long a call waits for the first sight of what it looks at; it is woken by what comes later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    What matters of an execution to those who wait for it.

    Attributes:
        phase: Where it stands.
        is_over: Whether that is its end.
        message: Why it failed.
        kind: Whose failure it was.
        waits_for: What it waits for itself.
        is_absent: Whether there is no such execution.
    """

    phase: Phase = Phase.UNDEFINED
    is_over: bool = False
    message: str = ""
    kind: ErrorKind = ErrorKind.USER
    waits_for: tuple[str, ...] = ()
    is_absent: bool = False


@dataclass(slots=True)
class _Watch:
    seen: Seen | None = None
    trouble: str = ""
    waiters: set[str] = field(default_factory=set[str])
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Followed:
    """
    What is seen of the executions that somebody waits for; open it with ``open``.

    Args:
        executor_id: Whose state tells what an execution waits for itself.
        watch: Shows an execution now and after each change.
        wake: Pushes one who waits back into the queue, by the attempt's key.
    """

    def __init__(
        self, executor_id: str, watch: Callable[[str], AsyncGenerator[ExecutionView, None]], wake: Callable[[str], None]
    ) -> None:
        self._executor_id = executor_id
        self._watch = watch
        self._wake = wake
        self._watches: dict[str, _Watch] = {}
        self._names: dict[str, set[str]] = {}
        self._group = asyncio.TaskGroup()

    async def open(self, stack: AsyncExitStack) -> None:
        """Be ready to watch, until the stack is closed."""
        self._group = await stack.enter_async_context(asyncio.TaskGroup())
        stack.callback(self._stop)

    def look(self, name: str, waiter: str) -> Seen | None:
        """Return what was seen of an execution, and wake the waiter by its changes from now on; None before."""
        watch = self._watches.get(name)
        if watch is None:
            watch = self._watches[name] = _Watch()
            watch.task = self._group.create_task(self._follow(name, watch), name=f"waitable: {name}")
        watch.waiters.add(waiter)
        self._names.setdefault(waiter, set()).add(name)
        return watch.seen

    async def meet(self, names: Collection[str], waiter: str) -> None:
        """Begin to look at executions, and wait until each was seen once: for as long as a store takes to answer."""
        for name in names:
            self.look(name, waiter)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                for name in names:
                    if name in self._watches:
                        await self._watches[name].heard.wait()

    async def ancestors(self, name: str) -> list[str]:
        """
        Say what an execution is a child of, and what that is a child of, and so on; read once, for it never changes.

        Raises:
            StoreUnavailableError: The store does not answer.
        """
        found = list[str]()
        while (parent := await self._parent(found[-1] if found else name)) and parent not in found:
            found.append(parent)
        return found

    async def _parent(self, name: str) -> str:
        try:
            async with aclosing(self._watch(name)) as views:
                async for view in views:
                    return view.parent
        except ApiError as error:
            if error.code != "not_found":
                raise
        return ""

    def trouble(self, name: str) -> str:
        """Say why an execution cannot be seen at the moment; empty when it can."""
        watch = self._watches.get(name)
        return "" if watch is None else watch.trouble

    def leave(self, waiter: str) -> None:
        """Wake a waiter no more; what nobody waits for is not watched any longer."""
        for name in self._names.pop(waiter, ()):
            watch = self._watches[name]
            watch.waiters.discard(waiter)
            if not watch.waiters:
                del self._watches[name]
                if watch.task is not None:
                    watch.task.cancel()

    def __len__(self) -> int:
        """Return how many executions are watched."""
        return len(self._watches)

    def _stop(self) -> None:
        for watch in self._watches.values():
            if watch.task is not None:
                watch.task.cancel()
        self._watches.clear()
        self._names.clear()

    async def _follow(self, name: str, watch: _Watch) -> None:
        while watch.seen is None or not watch.seen.is_over:
            try:
                async for view in self._watch(name):
                    self._note(watch, self._seen(view))
            except Exception as error:  # noqa: BLE001 - the wall of a watch: whatever it is, the others go on
                if isinstance(error, ApiError) and error.code == "not_found":
                    self._note(watch, Seen(is_absent=True))
                    return
                watch.trouble = f"{type(error).__name__}: {error}"
                self._tell(watch)
                await asyncio.sleep(AGAIN_SECONDS)

    def _note(self, watch: _Watch, seen: Seen) -> None:
        if seen != watch.seen or watch.trouble:
            watch.seen, watch.trouble = seen, ""
            self._tell(watch)

    def _tell(self, watch: _Watch) -> None:
        watch.heard.set()
        for waiter in sorted(watch.waiters):
            self._wake(waiter)

    def _seen(self, view: ExecutionView) -> Seen:
        error = view.error
        return Seen(
            phase=view.phase,
            is_over=view.is_over,
            message="" if error is None else error.message,
            kind=ErrorKind.USER if error is None or error.kind is ErrorKind.UNKNOWN else error.kind,
            waits_for=self._waits_for(view),
        )

    def _waits_for(self, view: ExecutionView) -> tuple[str, ...]:
        state: object = view.custom_state
        if view.executor != self._executor_id or view.is_over or not is_object(state):
            return ()
        names = state.get("waits_for")
        return tuple(str(one) for one in names) if is_array(names) else ()
