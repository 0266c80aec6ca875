"""
Who plays: which executors a run has, what its seeds mean, and whose awaits its crashes are counted at.

``ENGINE`` is about engine and state, with executors that do what the contract asks and no more. ``PROVIDERS`` has
plugins of the WebAPI framework in their place, and ends its lives at that framework's awaits. They are apart so that a
seed of the one means what it meant, whatever becomes of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.simulation.aims import plan_of, plan_of_providers
from tests.simulation.crash_sites import FRAMEWORKS, PARTS
from tests.simulation.executors import KINDS
from tests.simulation.plan import Plan
from tests.simulation.providers import PROVIDERS as PROVIDER_KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """
    Who plays.

    Attributes:
        name: Names it on a command line.
        kinds: The classes of the executors.
        plan_of: What a seed means.
        parts: Whose awaits are counted.
    """

    name: str
    kinds: tuple[type[Any], ...]
    plan_of: Callable[[int], Plan]
    parts: tuple[str, ...]


ENGINE = Cast(name="engine", kinds=KINDS, plan_of=plan_of, parts=PARTS)
PROVIDERS = Cast(name="providers", kinds=PROVIDER_KINDS, plan_of=plan_of_providers, parts=FRAMEWORKS)

CASTS = {cast.name: cast for cast in (ENGINE, PROVIDERS)}
