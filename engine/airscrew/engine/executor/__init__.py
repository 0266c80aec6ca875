"""
The contract between the engine and its plugins: what an executor implements, is given and gives back.

This is all that a plugin needs to import, beside ``engine.cache`` and ``engine.testing``. Nothing here MUST know the
store, the controller, or any plugin.
"""

from airscrew.engine.executor.context import Locations, TaskContext
from airscrew.engine.executor.contract import Executor, MaybeAwaitable, Setup
from airscrew.engine.executor.declarations import (
    AtMostOnce,
    ClusterRight,
    Findable,
    Idempotent,
    NoEffect,
    ResourceRequirements,
    StartDeclaration,
)
from airscrew.engine.executor.erased import AnyContext, AnyCoroutine, AnyExecutor, AnyFound, AnyStatus
from airscrew.engine.executor.status import Found, Gone, NotStarted, OutputsAt, Released, StillThere, TaskStatus

__all__ = [
    "AnyContext",
    "AnyCoroutine",
    "AnyExecutor",
    "AnyFound",
    "AnyStatus",
    "AtMostOnce",
    "ClusterRight",
    "Executor",
    "Findable",
    "Found",
    "Gone",
    "Idempotent",
    "Locations",
    "MaybeAwaitable",
    "NoEffect",
    "NotStarted",
    "OutputsAt",
    "Released",
    "ResourceRequirements",
    "Setup",
    "StartDeclaration",
    "StillThere",
    "TaskContext",
    "TaskStatus",
]
