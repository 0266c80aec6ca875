"""
An environment that an executor runs in as if it were the engine's, for tests of plugins.

    async with ExecutorEnvironment(MyExecutor) as environment:
        attempt = environment.attempt(template, inputs)
        status = await attempt.run()

It initialises the executor, hands it contexts, stores its state as JSON between any two calls, wakes attempts, and
checks each answer against the contract. ``restart`` throws the executor away and makes a new one: what is not in the
state is gone, as after a crash.

Time is the running loop's: virtual under ``airscrew.engine.testing.virtual_time``, real otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from airscrew.engine.clock import Clock, LoopClock
from airscrew.engine.executor import Executor, Setup
from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.calls import settle
from airscrew.engine.testing.data import MemoryData, make_locations
from airscrew.idl.ids import ExecutionId, Uid, attempt_key

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

    from airscrew.idl.template import TaskTemplate

StateT = TypeVar("StateT")

INSTALLATION = "0123456789abcdef0123456789abcdef"


class ExecutorEnvironment(Generic[StateT]):
    """
    Runs one executor; open it with ``async with``.

    Args:
        make_executor: Makes the executor, again after each restart: its class, most often.
        config: Its part of the configuration.
        secrets: Values of secrets by ``key`` or ``group/key``; none may appear in what it stores or shows.
        clock: The time; the running loop's by default.
        seed: Of its source of randomness.
        state_directory: A folder for its own files.
        root: The URI that attempts read and write below; real files for a ``file:`` one.
    """

    def __init__(
        self,
        make_executor: Callable[[], Executor[StateT]],
        *,
        config: Mapping[str, object] | None = None,
        secrets: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        seed: int = 0,
        state_directory: str = "",
        root: str = "memory://test",
    ) -> None:
        self.clock = clock or LoopClock()
        self.attempts: dict[str, Attempt[StateT]] = {}
        self._make_executor = make_executor
        self._config = dict(config or {})
        self._secrets = dict(secrets or {})
        self._seed = seed
        self._state_directory = state_directory
        self._root = root
        self._executor: Executor[StateT] | None = None
        self._is_open = False

    @property
    def executor(self) -> Executor[StateT]:
        """The executor at work; another one after a restart. After the end, the last one."""
        assert self._executor is not None, "open the environment with `async with` first"
        return self._executor

    @property
    def secret_values(self) -> Sequence[str]:
        """What must appear in nothing that is stored or shown."""
        return [value for value in self._secrets.values() if value]

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def restart(self) -> None:
        """Lose all that the executor keeps in memory, as a crash and a new process would; checks are due at once."""
        await self._close()
        await self._open()
        for attempt in self.attempts.values():
            attempt.due = 0.0

    def attempt(
        self,
        template: TaskTemplate,
        inputs: LiteralMap | None = None,
        *,
        name: str = "task",
        namespace: str = "test",
        number: int = 0,
        overrides: Mapping[str, object] | None = None,
    ) -> Attempt[StateT]:
        """Make an attempt to run a task; the same name and number always give the same key."""
        from flyteidl.core.literals_pb2 import LiteralMap

        execution = ExecutionId(namespace, name)
        uid = Uid(hashlib.blake2b(str(execution).encode(), digest_size=16).hexdigest())
        key = attempt_key(INSTALLATION, uid, number)
        data = MemoryData(
            literals=LiteralMap() if inputs is None else inputs,
            locations=make_locations(self._root, name, number),
            key=key,
            namespace=namespace,
            secrets=self._secrets,
        )
        made = Attempt(
            host=self,
            execution=execution,
            uid=uid,
            number=number,
            key=key,
            template=template,
            data=data,
            overrides=dict(overrides or {}),
        )
        self.attempts[key] = made
        return made

    def wake(self, key: str) -> None:
        """Push the attempt of a key back into the queue; unknown keys are ignored."""
        if key in self.attempts:
            self.attempts[key].wake()

    async def _open(self) -> None:
        executor = self._make_executor()
        setup = Setup(
            installation=INSTALLATION,
            config=self._config,
            state_directory=self._state_directory,
            clock=self.clock,
            random=Random(self._seed),
            wake=self.wake,
        )
        await settle(executor.initialize(setup))
        self._executor = executor
        self._is_open = True

    async def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            await settle(self.executor.close())
