"""
The contract without its state type: what the engine holds, which cannot know the classes of plugins.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeAlias, TypeVar

from airscrew.engine.executor.context import TaskContext
from airscrew.engine.executor.contract import Executor
from airscrew.engine.executor.status import Found, TaskStatus

T = TypeVar("T")

AnyExecutor: TypeAlias = Executor[Any]
AnyContext: TypeAlias = TaskContext[Any]
AnyStatus: TypeAlias = TaskStatus[Any]
AnyFound: TypeAlias = Found[Any]
AnyCoroutine: TypeAlias = Coroutine[object, object, T]
"""A coroutine that returns a T; what it yields to the loop is nobody's business."""


def overrides(executor: AnyExecutor, method: str) -> bool:
    """Tell whether an executor has a method of its own in place of the contract's."""
    own: object = getattr(type(executor), method)
    return own is not getattr(Executor, method)
