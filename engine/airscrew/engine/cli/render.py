"""
Results as people and programs read them: tables, JSON and YAML.

Pure. Data has the names of ``airscrew.engine.api.model``, with phases by their title and bytes as base64.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, cast

import msgspec

from airscrew.idl.phase import Phase

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutionView, ExecutorView, OutputsView

_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def plain(value: object) -> object:
    """Turn structs into what JSON and YAML hold."""
    match value:
        case Phase():
            return value.title
        case Enum():
            return value.value
        case msgspec.Struct():
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        case dict():
            return {str(key): plain(entry) for key, entry in cast("Mapping[object, object]", value).items()}
        case list() | tuple():
            return [plain(entry) for entry in cast("Iterable[object]", value)]
        case bytes():
            return b64encode(value).decode()
        case _:
            return value


def as_data(value: object, output: str) -> str:
    """Write a value as ``json`` or ``yaml``, without a line's end."""
    if output == "yaml":
        import yaml

        return yaml.safe_dump(plain(value), sort_keys=False, allow_unicode=True).rstrip("\n")
    return msgspec.json.format(msgspec.json.encode(plain(value)), indent=2).decode()


def one_line_json(value: object) -> str:
    """Write a value as JSON in one line."""
    return msgspec.json.encode(plain(value)).decode()


def as_object(view: ExecutionView, outputs: OutputsView | None) -> dict[str, object]:
    """Return an execution as data: its view, and its outputs as values by name."""
    result = cast("dict[str, object]", plain(view))
    return result | {"outputs": outputs.values if outputs else {}, "output_types": outputs.types if outputs else {}}


def output_lines(outputs: OutputsView) -> list[str]:
    """Return outputs as ``name: type = value``."""
    return [
        f"{name}: {outputs.types.get(name, 'unknown')} = {msgspec.json.encode(value).decode()}"
        for name, value in outputs.values.items()
    ]


def executor_status(view: ExecutorView) -> str:
    """Say whether an executor can be used."""
    if view.problem:
        return f"broken: {view.problem}"
    if not view.enabled:
        return "disabled"
    return f"held back: {view.breaker}" if view.breaker else "ready"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write rows in columns as wide as they need to be; an empty cell is a dash."""
    lines = [headers, *([" ".join(cell.split()) or "-" for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def fields(pairs: Iterable[tuple[str, str]]) -> str:
    """Write names and values below each other; empty values are left out."""
    kept = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in kept), default=0) + 2
    return "\n".join(f"{name + ':':<{width}}{_indented(value, width)}" for name, value in kept)


def _indented(value: str, width: int) -> str:
    return value.rstrip("\n").replace("\n", "\n" + " " * width)


def duration(seconds: float) -> str:
    """Write a length of time in its two largest units, as ``3m12s``; below ten seconds with a digit after the point."""
    if seconds < 10:  # noqa: PLR2004 - see above
        return f"{max(seconds, 0.0):.1f}s"
    rest, parts = int(seconds), list[str]()
    for unit, size in _UNITS:
        if rest >= size:
            parts.append(f"{rest // size}{unit}")
            rest %= size
        elif parts:
            break
    return "".join(parts[:2])


def age(then: float, now: float) -> str:
    """Write how long ago something was, as ``7m``; empty for never."""
    if then <= 0:
        return ""
    seconds = max(now - then, 0.0)
    return next((f"{int(seconds // size)}{unit}" for unit, size in _UNITS if seconds >= size), "0s")


def moment(then: float) -> str:
    """Write a point in time; empty for none."""
    return datetime.fromtimestamp(then, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if then > 0 else ""


def labels(values: Mapping[str, str]) -> str:
    """Write labels as ``a=1,b=2``."""
    return ",".join(f"{key}={value}" for key, value in sorted(values.items()))


def cut(text: str, width: int = 60) -> str:
    """Cut a text to one line of a width."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def headline(text: str) -> str:
    """Return what an error says, without the traceback before it: flytekit's message, or a traceback's last line."""
    if text.startswith("Trace:") and "Message:" in text:
        return text.rpartition("Message:")[2].strip() or text
    if text.startswith("Traceback (most recent call last):"):
        return text.strip().rpartition("\n")[2].strip()
    return text
