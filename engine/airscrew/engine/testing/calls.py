"""
How an executor is called and how its state is stored: the same way as the engine does both.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar, cast

import msgspec

from airscrew.engine.executor import Executor, MaybeAwaitable
from airscrew.engine.testing.errors import ConformanceError

P = ParamSpec("P")
T = TypeVar("T")
StateT = TypeVar("StateT")

MAX_STATE_BYTES = 32 * 1024
"""A larger state is refused, as the engine refuses it."""


async def call(method: Callable[P, MaybeAwaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a method of an executor: on the loop when it is ``async``, in a thread when it is not."""
    if inspect.iscoroutinefunction(method):
        return await cast("Awaitable[T]", method(*args, **kwargs))
    return await settle(await asyncio.to_thread(method, *args, **kwargs))


async def settle(result: MaybeAwaitable[T]) -> T:
    """Wait for a result that may be an awaitable."""
    if inspect.isawaitable(result):
        return await result
    return result


def encode_state(executor: Executor[StateT], state: StateT) -> bytes:
    """
    Turn a state into the JSON that is stored.

    Raises:
        ConformanceError: It is not of the declared class, no JSON object, or too large.
    """
    if not isinstance(state, executor.state_type):
        raise ConformanceError(f"the state is a {type(state).__name__}, declared is {executor.state_type.__name__}")
    try:
        raw = msgspec.json.encode(state)
    except (TypeError, ValueError) as error:
        raise ConformanceError(f"the state cannot be written as JSON: {error}") from error
    if not raw.startswith(b"{"):
        raise ConformanceError(f"the state is no JSON object: {raw[:80]!r}")
    if len(raw) > MAX_STATE_BYTES:
        raise ConformanceError(f"the state takes {len(raw)} bytes of at most {MAX_STATE_BYTES}")
    return raw


def decode_state(executor: Executor[StateT], raw: bytes) -> StateT:
    """
    Read a stored state.

    Raises:
        ConformanceError: What the executor wrote is not what it can read.
    """
    try:
        return cast("StateT", msgspec.json.decode(raw, type=executor.state_type))
    except msgspec.ValidationError as error:
        raise ConformanceError(f"the stored state does not decode: {error}: {raw[:200]!r}") from error
