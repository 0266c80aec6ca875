"""
How settings are read from files and from the environment, and what is said of what is wrong with them.

Pure but for ``read_file``.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import inspect

from airscrew.engine.config.settings import EngineSettings, Quota
from airscrew.idl.errors import UsageError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_AT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_NO_TEXT = re.compile(r"[\0\ud800-\udfff]")

_POOL = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

PROVIDERS = frozenset({"env", "file"})
LOG_FORMATS = ("json", "text")
LOG_LEVELS = ("debug", "error", "info", "warning")

_BAD_YAML = (ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""What the package raises, beside errors of its own, for a value that does not fit the tag that it has or is given."""

SHORTEST_LEASE_SECONDS = 3.0
"""A shorter one would be lost to a busy machine."""


def parse_duration(text: str) -> float | None:
    """Read ``90s``, ``1h30m`` or ``7d`` as seconds; None when it is no duration."""
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def read_file(file: Path) -> dict[str, object]:
    """
    Read a YAML or JSON file.

    Raises:
        UsageError: It cannot be read or is no mapping.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"config {file} cannot be read: {error.strerror}") from error
    values = _parse(data, file)
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in cast("dict[object, object]", values)):
        raise UsageError(f"config {file} must hold keys and values, as home: /var/lib/airscrew")
    return cast("dict[str, object]", values)


def _parse(data: bytes, file: Path) -> object:
    if file.suffix == ".json":
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"config {file} is not JSON: {error}") from error
    import yaml

    try:
        return yaml.safe_load(data)
    except (*_BAD_YAML, yaml.YAMLError) as error:
        raise UsageError(f"config {file} is not YAML: {' '.join(str(error).split())}") from error


def checked(values: Mapping[str, object], source: str) -> dict[str, object]:
    """
    Return the values with durations as seconds, after a look at their keys.

    Raises:
        UsageError: A key is not known.
    """
    return _checked(values, EngineSettings, source, "")


def _checked(values: Mapping[str, object], cls: type[msgspec.Struct], source: str, path: str) -> dict[str, object]:
    known = {field.name: field.type for field in _fields(cls)}
    result: dict[str, object] = {}
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{source}: unknown key {f'{path}{key}'!r}{_nearest(str(key), known)}")
        kind = known[key]
        if isinstance(kind, inspect.StructType) and isinstance(value, Mapping):
            result[key] = _checked(cast("Mapping[str, object]", value), kind.cls, source, f"{path}{key}.")
        elif isinstance(kind, inspect.DictType) and isinstance(value, Mapping):
            result[key] = _checked_entries(cast("Mapping[str, object]", value), kind, source, f"{path}{key}.")
        elif isinstance(kind, inspect.FloatType) and isinstance(value, str):
            seconds = parse_duration(value)
            result[key] = value if seconds is None else seconds
        else:
            result[key] = value
    return result


def _checked_entries(values: Mapping[str, object], kind: inspect.DictType, source: str, path: str) -> dict[str, object]:
    """Look at the keys of parts that have names of the operator's own."""
    part = kind.value_type
    if not isinstance(part, inspect.StructType):
        return dict(values)
    result: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            value = _checked(cast("Mapping[str, object]", value), part.cls, source, f"{path}{name}.")  # noqa: PLW2901
        try:
            msgspec.convert(value, part.cls)
        except msgspec.ValidationError as error:
            said = explain(error)  # which names the key within the part, and not the part
            raise UsageError(f"{source}: {path}{name}{'.' if '$' in str(error) else ': '}{said}") from error
        except UnicodeEncodeError as error:
            raise UsageError(f"{source}: {path}{name} holds a character that no text can hold") from error
        result[name] = value
    return result


def _fields(cls: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    return cast("inspect.StructType", inspect.type_info(cls)).fields


def _nearest(key: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f": one of {', '.join(sorted(known))}"


def explain(error: msgspec.ValidationError) -> str:
    """Say what is wrong as ``key: expected int, got str``."""
    match = _AT.fullmatch(str(error))
    assert match is not None
    what = match["what"].replace("`", "")
    what = what[:1].lower() + what[1:]
    if "expected float" in what:
        what = what.replace("expected float", "expected seconds, or a duration as 90s, 15m or 7d")
    return f"{match['path']}: {what}" if match["path"] else what


def check_values(settings: EngineSettings, source: str) -> None:
    """
    Look at what the types do not say.

    Raises:
        UsageError: A value cannot be.
    """
    for path, value in _leaves(msgspec.to_builtins(settings), ""):
        _check_leaf(value, f"{source}: {path}")
    if settings.workers < 1:
        raise UsageError(f"{source}: workers must be 1 or more")
    if settings.lease_seconds < SHORTEST_LEASE_SECONDS:
        raise UsageError(f"{source}: lease_seconds must be {SHORTEST_LEASE_SECONDS:g} or more")
    if bool(settings.api.certificate) is not bool(settings.api.key):
        raise UsageError(f"{source}: api.certificate and api.key belong together: set both, or neither")
    if settings.api.client_ca and not settings.api.certificate:
        raise UsageError(f"{source}: api.client_ca needs api.certificate and api.key")
    for key, word, known in (("format", settings.log.format, LOG_FORMATS), ("level", settings.log.level, LOG_LEVELS)):
        if word not in known:
            raise UsageError(f"{source}: log.{key} is {word!r}: it must be one of {', '.join(known)}")
    _check_quotas(settings.quotas, source)
    for provider in settings.secrets.providers:
        if provider not in PROVIDERS:
            providers = ", ".join(sorted(PROVIDERS))
            raise UsageError(f"{source}: secrets.providers: {provider!r} is not known: one of {providers}")


def _check_leaf(value: object, where: str) -> None:
    if isinstance(value, str) and _NO_TEXT.search(value):
        raise UsageError(f"{where} holds a character that no text can hold")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where} is {value}: it must be a number")
    if isinstance(value, (int, float)) and value < 0:
        raise UsageError(f"{where} is {value:g}: it must be 0 or more")


def _check_quotas(quotas: Mapping[str, Quota], source: str) -> None:
    bound: dict[str, str] = {}
    for name, quota in quotas.items():
        if not _POOL.fullmatch(name):
            raise UsageError(f"{source}: quotas.{name}: a name is of a-z, 0-9, - _ and ., at most 63")
        for executor in quota.executors:
            if executor in bound:
                both = f"quotas.{bound[executor]} and quotas.{name}"
                raise UsageError(f"{source}: executor {executor!r} is in {both}: it can be in one")
            bound[executor] = name


def _leaves(values: Mapping[str, Any], path: str) -> Iterator[tuple[str, object]]:
    """Tell every value by its path, those of lists by the list's; the executors' own parts are theirs."""
    for key, value in values.items():
        if not path and key == "executors":
            continue
        if isinstance(value, dict):
            yield from _leaves(cast("dict[str, Any]", value), f"{path}{key}.")
        else:
            items = cast("list[object]", value) if isinstance(value, list) else [value]
            yield from ((path + key, one) for one in items)


def from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    """
    Return what the environment sets; variables that stand for no key are left to others.

    Raises:
        UsageError: A value is of the wrong type.
    """
    values: dict[str, object] = {}
    for path, kind in _plain_keys(EngineSettings, ()):
        variable = "AIRSCREW_" + "_".join(path).upper()
        text = environment.get(variable)
        if text:
            target = values
            for part in path[:-1]:
                target = cast("dict[str, object]", target.setdefault(part, {}))
            target[path[-1]] = _from_text(text, kind, variable)
    return values


def _plain_keys(cls: type[msgspec.Struct], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], inspect.Type]]:
    for field in _fields(cls):
        kind = field.type
        if isinstance(kind, inspect.UnionType):
            kind = next(part for part in kind.types if not isinstance(part, inspect.NoneType))
        if isinstance(kind, inspect.StructType):
            yield from _plain_keys(kind.cls, (*path, field.name))
        elif not isinstance(kind, inspect.DictType):
            yield (*path, field.name), kind


def _from_text(text: str, kind: inspect.Type, variable: str) -> object:
    match kind:
        case inspect.StrType():
            return text
        case inspect.VarTupleType():
            return [part.strip() for part in text.split(",") if part.strip()]
        case inspect.BoolType() if text.lower() in {"1", "true", "yes", "on"}:
            return True
        case inspect.BoolType() if text.lower() in {"0", "false", "no", "off"}:
            return False
        case inspect.IntType() if _WHOLE.fullmatch(text):
            return int(text)
        case inspect.FloatType():
            return _seconds(text, variable)
        case _:
            wanted = "true or false" if isinstance(kind, inspect.BoolType) else "a whole number"
            raise UsageError(f"{variable} is {text!r}: it must be {wanted}")


def _seconds(text: str, variable: str) -> float:
    seconds = parse_duration(text)
    if seconds is not None:
        return seconds
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{variable} is {text!r}: it must be seconds, or a duration as 90s, 15m or 7d") from None
