"""
Settings from a file, then the environment, then the command line; the later wins.

The file is YAML or JSON. It is the one named, else the one in ``AIRSCREW_CONFIG``, else ``airscrew/config.yaml`` in the
user's XDG configuration folder if there is one. Every plain key can be given in the environment: ``retention.keep`` is
``AIRSCREW_RETENTION_KEEP``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from airscrew.engine.config.reading import check_values, checked, explain, from_environment, read_file
from airscrew.engine.config.settings import EngineSettings
from airscrew.idl.errors import UsageError


def default_home(environment: Mapping[str, str]) -> Path:
    """Return the home when none is given: the user's XDG state folder."""
    base = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME") or Path.home()) / ".local" / "state")
    return Path(base) / "airscrew"


def load_settings(
    *,
    config: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> EngineSettings:
    """
    Read the settings.

    Args:
        config: The file that was named, if any.
        environment: The process's environment; None for ``os.environ``.
        overrides: What the command line says, by key; None values are left out.

    Raises:
        UsageError: They cannot be read, in one line.
    """
    variables = os.environ if environment is None else environment
    file = find_file(config, variables)
    values: dict[str, object] = read_file(file) if file else {}
    values = checked(values, f"config {file}") if file else values
    values |= {key: _merged(values.get(key), value) for key, value in from_environment(variables).items()}
    values |= {key: _merged(values.get(key), value) for key, value in (overrides or {}).items() if value is not None}
    source = f"config {file}" if file else "settings"
    home = values.get("home") or default_home(variables)
    if isinstance(home, str | Path):
        values["home"] = str(_expanded(home, f"{source}: home").absolute())
    return to_settings(values, source)


def _expanded(path: str | Path, what: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{what} {str(path)!r}: there is no such user on this machine") from error


def _merged(old: object, new: object) -> object:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**cast("dict[str, object]", old), **cast("dict[str, object]", new)}
    return new


def find_file(config: str | Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the configuration file: the one named, the one of the environment, or the user's."""
    named = config or environment.get("AIRSCREW_CONFIG")
    if named:
        return _expanded(named, "config")
    base = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME") or Path.home()) / ".config")
    file = Path(base) / "airscrew" / "config.yaml"
    return file if file.is_file() else None


def to_settings(values: Mapping[str, object], source: str) -> EngineSettings:
    """
    Make settings of plain values.

    Raises:
        UsageError: A value is of the wrong type or cannot be.
    """
    try:
        settings = msgspec.convert(checked(values, source), EngineSettings)
    except RecursionError as error:
        raise UsageError(f"{source}: a value is nested too deeply, or holds itself") from error
    except UnicodeEncodeError as error:
        raise UsageError(f"{source}: a value holds a character that no text can hold") from error
    except msgspec.ValidationError as error:
        raise UsageError(f"{source}: {explain(error)}") from error
    check_values(settings, source)
    return settings
