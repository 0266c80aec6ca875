"""
From what a person typed to what an SDK converts: the rules that both SDKs share.

Text goes through the SDK's own command-line types, so ``--x 3`` means here what it means to ``pyflyte run`` and
``flyte run``. A value that is no text (from a JSON file) is converted by way of its JSON. Files and folders that exist
are named by absolute path and never copied: the task's process works in a folder of its own on the same machine.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, NoneType, SimpleNamespace
from typing import Protocol, get_args

from airscrew.engine.sdk.model import Variable
from airscrew.idl.errors import UsageError


class ParameterType(Protocol):
    """The part of ``click.ParamType`` that is used."""

    name: str

    def convert(self, value: object, param: None, ctx: object) -> object:
        """Convert or raise."""
        ...


def variables(interface: Mapping[str, object], defaults: Mapping[str, object]) -> tuple[Variable, ...]:
    """Describe inputs: those in ``defaults`` need not be given."""
    return tuple(
        Variable(
            name=name,
            type=type_name(kind),
            required=name not in defaults,
            default=repr(defaults[name]) if name in defaults else "",
        )
        for name, kind in interface.items()
    )


def type_name(kind: object) -> str:
    """Write a type as its author did, without the modules that its parts come from."""
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", inspect.formatannotation(kind))


def is_optional(kind: object) -> bool:
    """Say whether None is a value of the type."""
    return kind is NoneType or NoneType in get_args(kind)


def click_context(**settings: object) -> object:
    """Give what the SDKs' command-line types look at: a click context with the settings of its command."""
    import click

    return click.Context(click.Command("run"), obj=SimpleNamespace(**settings))


def check_names(given: Iterable[str], inputs: Sequence[Variable]) -> None:
    """
    Check that every given input exists and that every required one is given.

    Raises:
        UsageError: Names the variable, with the interface or the type.
    """
    names = set(given)
    known = {variable.name for variable in inputs}
    for name in sorted(names - known):
        takes = ", ".join(f"{variable.name}: {variable.type}" for variable in inputs) or "no inputs"
        raise UsageError(f"there is no input {name!r}; the task takes {takes}")
    for variable in inputs:
        if variable.required and variable.name not in names:
            raise UsageError(f"input {variable.name!r} ({variable.type}) is missing: add --{variable.name} VALUE")


def convert(variable: Variable, value: object, parameter: ParameterType, context: object) -> object:
    """
    Convert one value by the SDK's own type for command lines.

    Raises:
        UsageError: Names the variable, the type and what was given.
    """
    if parameter.name == "text" and not isinstance(value, str):
        raise wrong(variable, value)
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        return parameter.convert(text, None, context)
    except Exception as error:
        raise wrong(variable, value, error) from error


def absolute(value: object) -> object:
    """Name a file or folder that exists by its absolute path; anything else, a URI for one, stays as it is."""
    if isinstance(value, str) and Path(value).exists():
        return str(Path(value).absolute())
    return value


def dataset(variable: Variable, value: object, wire: ModuleType) -> object:
    """
    Write a data frame that lies in a file or folder as a literal that names it: it is neither read nor copied.

    Raises:
        UsageError: The value is no location, or nothing lies there.
    """
    if not isinstance(value, str) or ("://" not in value and not Path(value).exists()):
        raise wrong(variable, value, ValueError("give the path or URI of a parquet or csv file or folder"))
    kind = wire.StructuredDatasetMetadata()
    kind.structured_dataset_type.format = "csv" if value.endswith(".csv") else "parquet"
    location = wire.StructuredDataset(uri=absolute(value), metadata=kind)
    literal: object = wire.Literal(scalar=wire.Scalar(structured_dataset=location))
    return literal


def wrong(variable: Variable, value: object, error: BaseException | None = None) -> UsageError:
    """Say which input is wrong, what it should be, what was given, and why."""
    why = f": {_reason(error)}" if error is not None else ""
    return UsageError(f"input {variable.name!r} should be {variable.type}, not {value!r}{why}")


def first_line(error: BaseException) -> str:
    """Give the first line of what an exception says."""
    return _message(error).splitlines()[0]


def _reason(error: BaseException) -> str:
    """Give the last line of what an exception says: flytekit puts the reason there."""
    return _message(error).splitlines()[-1].strip().removeprefix("Reason: ")


def _message(error: BaseException) -> str:
    return str(getattr(error, "message", None) or error).strip() or type(error).__name__
