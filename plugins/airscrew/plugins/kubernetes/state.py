"""
The custom state of a task that is an object: where it is, which one it is, and what a look at it needs.
"""

from __future__ import annotations

from typing import Any

import msgspec


class ObjectState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    An attempt's object.

    Attributes:
        namespace: Where it is.
        name: Its name: the attempt's key.
        uid: Which one of that name.
        created_at: When it was made, engine time.
        memory: What the last look wants the next one to know.
        settings: What the plugin kept of the template for its looks.
        deleting: Whether its deletion was asked for.
        released: Whether our finalizer was taken off.
    """

    namespace: str
    name: str
    uid: str
    created_at: float = 0.0
    memory: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    deleting: bool = False
    released: bool = False
