"""
Quantities as Kubernetes writes them: ``500m``, ``1.5Gi``, ``1e3``.

One reader for all who meet them: what a task asks for, what an administrator allows, what a quota tells. It is exact:
a quantity is a ``Decimal``, never a float.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

_QUANTITY = re.compile(r"(?P<number>[+-]?[0-9.]+(?:[eE][+-]?[0-9]{1,3})?)(?P<suffix>[numkMGTPE]?|[KMGTPE]i)", re.ASCII)
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}


def read_quantity(text: str) -> Decimal | None:
    """Read a quantity; None when it is none."""
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return None
    try:
        return Decimal(found["number"]) * _SUFFIXES[found["suffix"]]
    except InvalidOperation:
        return None
