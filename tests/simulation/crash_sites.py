"""
Where a life was when it ended: the lines of engine and state that its tasks were waiting at.
"""

from __future__ import annotations

import asyncio
import ast
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("engine/airscrew/engine", "state/airscrew/state")
_known: dict[str, str] = {}


def waiting_at(tasks: Iterable[asyncio.Task[Any]]) -> Counter[str]:
    """Count the lines that unfinished tasks wait at, from the outermost to the innermost one."""
    found: Counter[str] = Counter()
    for task in tasks:
        if not task.done():
            found.update({site for frame in _frames(task.get_coro()) if (site := _site(frame))})
    return found


def _frames(awaited: Any) -> Iterable[Any]:
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            return
        yield frame
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)


def _site(frame: Any) -> str:
    name = frame.f_code.co_filename
    short = _known.get(name)
    if short is None:
        path = Path(name).resolve()
        inside = path.is_relative_to(ROOT) and str(path.relative_to(ROOT)).startswith(PARTS)
        short = _known[name] = str(path.relative_to(ROOT)) if inside else ""
    return f"{short}:{frame.f_lineno}" if short else ""


def await_sites() -> dict[str, str]:
    """List every await of engine and state by its place, with the function that it is in."""
    found: dict[str, str] = {}
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*.py")):
            module = ast.parse(path.read_text(encoding="utf8"))
            for function in ast.walk(module):
                if isinstance(function, ast.AsyncFunctionDef):
                    for node in ast.walk(function):
                        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
                            found[f"{path.relative_to(ROOT)}:{node.lineno}"] = function.name
    return found
