"""
Where a life was when it ended: the awaits of engine and state that its tasks were waiting at.

``await_sites`` lists them from the source, so that a site where nothing ever crashed is seen.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

from airscrew.engine.controller.watchdog import Timed

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("engine/airscrew/engine", "state/airscrew/state")
FRAMEWORKS = ("plugins/airscrew/plugins/webapi",)
"""What is simulated by a cast of its own; its awaits are counted apart (``casts``)."""

OUTSIDE = (
    *(
        f"engine/airscrew/engine/{name}"
        for name in (
            "api/",
            "bench/",
            "cli/",
            "controller/isolation.py",
            "data/outputs.py",
            "data/remote_files.py",
            "data/storage.py",
            "executor/",
            "manager.py",
            "metrics/",
            "observing.py",
            "outbox/sinks.py",
            "quotas/views.py",
            "release.py",
            "retries.py",
            "sdk/",
            "testing/",
            "vitals/",
        )
    ),
    "plugins/airscrew/plugins/webapi/sync.py",
    *(
        f"state/airscrew/state/{name}"
        for name in (
            "etcd/",
            "lock.py",
            "members/look.py",
            "memory.py",
            "sqlite/",
            "testing/",
            "transfer.py",
            "urls.py",
        )
    ),
)
"""What no simulation runs: it talks to files, sockets, threads, other stores or people, and is tested on those."""

_THREADS = "on a loop and a thread of its own, which tests/unit/engine/test_host.py and the faults have for real"
_MIXED = "only where one engine would have a store for itself that others share, which is not simulated"
_PEOPLE = "nobody but people has executors loaded; tests/unit/engine/test_arrivals.py does"

BEYOND = {
    ("_refuse_beside_members", "self.release"): _MIXED,
    ("_refuse_beside", "self.end"): _MIXED,
    ("_isolate", ""): _THREADS,
    ("_initialise", ""): _THREADS,
    ("_wait_until_idle", ""): _THREADS,
    ("_contained", ""): _THREADS,
    ("call", "self._isolate()"): _THREADS,
    ("_elsewhere", "self._own.submit"): _THREADS,
    ("load_executors", ""): _PEOPLE,
    ("load_arrivals", ""): _PEOPLE,
    ("keep_arrivals", ""): _PEOPLE,
    ("_answer_arrivals", ""): _PEOPLE,
    ("_load_now", ""): _PEOPLE,
    ("take_in", ""): _PEOPLE,
    ("show_executors", ""): _PEOPLE,
    ("_tell_gap", ""): "only when an outbox is over its limits, and every event is to be judged",
    ("remove", ""): "nobody asks for it but people",
    ("put", "self._store.txn([], "): "the engine always has a reservation to give back",
    ("lookup", "self._store.txn"): "only when outputs were deleted by somebody, and all are to be judged",
    ("_run", "asyncio.sleep(min("): "only after a defect of the cache itself",
    ("ensure_installation", "ensure_installation("): "only when two engines make a new store theirs at once",
    ("_step", "self._write"): "only after more requests than a simulation's people make",
}
"""Awaits of these modules that no simulation comes to: function and text of what is awaited, and why."""

TraceFunction = Callable[[FrameType, str, Any], Any]

_short: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Site:
    """An await in the source: where, in which function, and whether it is a write to the store."""

    place: str
    function: str
    is_write: bool
    text: str


def waiting_at(tasks: Iterable[asyncio.Task[Any]]) -> Counter[str]:
    """Count the awaits that unfinished tasks wait at, from the outermost to the innermost one."""
    found: Counter[str] = Counter()
    sites = await_sites()
    for task in tasks:
        if not task.done():
            places = {place for frame in _frames(task.get_coro()) if (place := _place(frame))}
            found.update({sites[place].place for place in places if place in sites})
    return found


def running_at() -> Counter[str]:
    """Count the lines that whoever calls this has come through: a life can end in the middle of a call of its own."""
    found: set[str] = set()
    frame = sys._getframe()
    while frame is not None:
        found.add(_place(frame))
        frame = frame.f_back
    return Counter(found - {""})


def _frames(awaited: Any) -> Iterable[Any]:
    while awaited is not None:
        generator = _generator_of(awaited)
        if generator is not None:
            yield from (frame for frame in [generator.ag_frame] if frame is not None)
            awaited = generator.ag_await
            continue
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            return
        yield frame
        driver = frame.f_locals.get("self")
        if isinstance(driver, Timed):  # it drives its coroutine by hand: nothing of Python's own leads there
            awaited = driver._coroutine
            continue
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)


def _generator_of(awaited: Any) -> Any:
    """Return the asynchronous generator whose next item is awaited; nothing but the collector knows it."""
    if type(awaited).__name__ not in {"async_generator_asend", "async_generator_athrow", "anext_awaitable"}:
        return None
    for one in gc.get_referents(awaited):
        if hasattr(one, "ag_frame"):
            return one
        if (inner := _generator_of(one)) is not None:
            return inner
    return None


def _place(frame: Any) -> str:
    name = frame.f_code.co_filename
    short = _short.get(name)
    if short is None:
        path = Path(name).resolve()
        inside = path.is_relative_to(ROOT) and str(path.relative_to(ROOT)).startswith(PARTS + FRAMEWORKS)
        short = _short[name] = str(path.relative_to(ROOT)) if inside else ""
    return f"{short}:{frame.f_lineno}" if short else ""


@lru_cache(maxsize=1)
def await_sites() -> dict[str, Site]:
    """List every await of engine, state and frameworks, by each of the lines that it spans."""
    found: dict[str, Site] = {}
    for part in PARTS + FRAMEWORKS:
        for path in sorted((ROOT / part).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            for function in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
                if isinstance(function, ast.AsyncFunctionDef):
                    _add_sites(found, name, function)
    return found


def _add_sites(found: dict[str, Site], name: str, function: ast.AsyncFunctionDef) -> None:
    for node in ast.walk(function):
        match node:
            case ast.Await():
                last = node.end_lineno or node.lineno
            case ast.AsyncFor():
                last = node.iter.end_lineno or node.lineno
            case ast.AsyncWith():
                last = node.items[-1].context_expr.end_lineno or node.lineno
            case _:
                continue
        site = Site(f"{name}:{node.lineno}", function.name, _is_write(node), ast.unparse(node))
        for line in range(node.lineno, last + 1):
            found.setdefault(f"{name}:{line}", site)


def _is_write(node: ast.AST) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "txn"


@lru_cache(maxsize=4)
def simulated_sites(parts: tuple[str, ...] = PARTS) -> tuple[str, ...]:
    """List the awaits of some parts that a simulation runs."""
    sites = await_sites().values()
    return tuple(sorted({site.place for site in sites if is_simulated(site) and site.place.startswith(parts)}))


def is_simulated(site: Site) -> bool:
    """Tell whether a simulation can come to an await."""
    return not site.place.startswith(OUTSIDE) and reason_beyond(site) is None


def reason_beyond(site: Site) -> tuple[str, str] | None:
    """Return the entry of ``BEYOND`` that an await has, if any."""
    return next((one for one in BEYOND if one[0] == site.function and one[1] in site.text), None)


def tracer(site: str, visit: Callable[[], None]) -> TraceFunction:
    """Return a trace function that tells of each time when the code comes to an await, whether it will wait or not."""
    name, _, number = site.rpartition(":")
    line, function = int(number), await_sites()[site].function

    def in_function(frame: FrameType, event: str, _: object) -> TraceFunction:
        if event == "line" and frame.f_lineno == line:
            visit()
        return in_function

    def trace(frame: FrameType, event: str, _: object) -> TraceFunction | None:
        code = frame.f_code
        return in_function if code.co_name == function and code.co_filename.endswith(name) else None

    return trace


def crashes_by_site(crashes: Counter[str], parts: tuple[str, ...] = PARTS) -> list[dict[str, object]]:
    """Say how often a life ended at each site of some parts that a simulation runs, the rarest first."""
    sites = await_sites()
    simulated = set(simulated_sites(parts))
    counted: Counter[Site] = Counter({site: 0 for site in sites.values() if site.place in simulated})
    for place, count in crashes.items():
        site = sites.get(place)
        if site in counted:
            counted[site] += count
    return [
        {"site": site.place, "function": site.function, "write": site.is_write, "crashes": count}
        for site, count in sorted(counted.items(), key=lambda item: (item[1], item[0].place))
    ]
