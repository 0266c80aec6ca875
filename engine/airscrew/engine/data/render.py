"""
Template variables: ``{{ .input }}``, ``{{ $outputPrefix }}``, ``{{ .inputs.x }}``. Pure.

Guarantees:

1. Names are matched whatever their case; the name of an input is matched as it stands.
2. One pass: what is put in is never read as a template again, so an input cannot smuggle a variable in.
3. An unknown variable is an error that names it and the known ones, never text that is passed on.
4. The texts given are left as they are.

===========================  =======================================================================
``Input``                    the location of ``inputs.pb``
``InputPrefix``              what it lies below
``OutputPrefix``             below it: ``outputs.pb``, ``error.pb``
``RawOutputDataPrefix``      where blobs go
``CheckpointOutputPrefix``   where checkpoints go
``PrevCheckpointPrefix``     where the attempt before put them; ``""`` (two quotes) for the first
``PerRetryUniqueKey``        the attempt's key, as letters, digits and ``_``
``TaskTemplatePath``         the location of ``task.pb``, which is written when it is asked for
``Namespace``                the execution's namespace
``Inputs.<name>``            an input as text; see ``literal_text``
``RunName``, ``ActionName``, ``RunStartTime``     Flyte 2
``remote_package_path``, ``dest_dir``             the code of a fast registration and where it is unpacked
===========================  =======================================================================
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airscrew.engine.data.locations import ROOT_ACTION, for_task
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor.context import Locations
from airscrew.idl.json_tree import BAD_JSON

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal, Primitive, Scalar

BAD_SPECIFICATION = "BadTaskSpecification"

VARIABLES = (
    "Input",
    "InputPrefix",
    "OutputPrefix",
    "RawOutputDataPrefix",
    "CheckpointOutputPrefix",
    "PrevCheckpointPrefix",
    "PerRetryUniqueKey",
    "TaskTemplatePath",
    "Namespace",
    "RunName",
    "ActionName",
    "RunStartTime",
    "remote_package_path",
    "dest_dir",
)
"""Every variable but ``Inputs.<name>``, as it is written for people."""

_KNOWN = frozenset(name.lower() for name in VARIABLES)
_VARIABLE = re.compile(r"\{\{\s*[.$](?:(?P<inputs>inputs)\.(?P<input>[^}\s]+)|(?P<name>[^}\s]*))\s*\}\}", re.IGNORECASE)
_NOT_WORD = re.compile(r"[^A-Za-z0-9_]+")
_NOT_LETTER = re.compile(r"^[^A-Za-z_]+")


@dataclass(frozen=True, slots=True)
class References:
    """
    What some texts refer to.

    Attributes:
        variables: Names in lower case, known or not, ``Inputs.<name>`` apart.
        inputs: Names of inputs.
    """

    variables: frozenset[str]
    inputs: frozenset[str]

    @property
    def template(self) -> bool:
        """Whether ``task.pb`` has to be written."""
        return "tasktemplatepath" in self.variables


def references(texts: Iterable[str]) -> References:
    """Say what has to be known before the texts can be rendered."""
    variables: set[str] = set()
    inputs: set[str] = set()
    for match in _matches(texts):
        if match["inputs"]:
            inputs.add(match["input"])
        else:
            variables.add(match["name"].lower())
    return References(frozenset(variables), frozenset(inputs))


def unknown_variables(texts: Iterable[str], inputs: Collection[str] | None = None) -> list[str]:
    """
    List the variables that no rendering will know, as they are written, each once: for a check before submission.

    Args:
        texts: The template's command, arguments and the like.
        inputs: The names of the task's inputs; None not to look at ``Inputs.<name>``.
    """
    unknown = [match[0] for match in _matches(texts) if not _is_known(match, inputs)]
    return list(dict.fromkeys(unknown))


def render(texts: Sequence[str], values: Mapping[str, str], inputs: Mapping[str, str]) -> list[str]:
    """
    Replace the variables in copies of the texts.

    Args:
        texts: What to render.
        values: By the variable's name in lower case; see ``variable_values``.
        inputs: The text of each input that is referred to.

    Raises:
        PermanentError: A variable has no value; names it.
    """

    def value(match: re.Match[str]) -> str:
        if match["inputs"]:
            if match["input"] in inputs:
                return inputs[match["input"]]
            raise _bad(f"the task refers to {match[0]} and has no such input: {_listed(inputs)}")
        name = match["name"].lower()
        if name in values:
            return values[name]
        if name in _KNOWN:
            raise _bad(f"{match[0]} has no value here: register the task with its code, or set overrides.{name}")
        raise _bad(f"the task refers to {match[0]}, which is unknown: {_listed(VARIABLES)}, Inputs.<name>")

    return [_VARIABLE.sub(value, text) for text in texts]


def variable_values(
    locations: Locations,
    *,
    key: str,
    namespace: str,
    run_name: str = "",
    run_start: float = 0.0,
    overrides: Mapping[str, object] | None = None,
) -> dict[str, str]:
    """
    Give the values of all variables but ``Inputs.<name>``, by name in lower case.

    Args:
        locations: Where the attempt reads and writes.
        key: The attempt's key.
        namespace: The execution's namespace.
        run_name: What a Flyte 2 task calls its run.
        run_start: When the execution was accepted, Unix seconds: the same for all attempts.
        overrides: ``remote_package_path`` and ``dest_dir`` come from there when they are set.
    """
    values = {
        "input": for_task(locations.input_uri),
        "inputprefix": for_task(locations.input_prefix),
        "outputprefix": for_task(locations.output_prefix),
        "rawoutputdataprefix": for_task(locations.raw_output_prefix),
        "checkpointoutputprefix": for_task(locations.checkpoint_prefix),
        "prevcheckpointprefix": for_task(locations.previous_checkpoint_prefix) or '""',
        "perretryuniquekey": unique_key(key),
        "tasktemplatepath": for_task(locations.template_uri),
        "namespace": namespace,
        "runname": run_name,
        "actionname": ROOT_ACTION,
        "runstarttime": datetime.fromtimestamp(run_start, UTC).isoformat(),
    }
    for name in ("remote_package_path", "dest_dir"):
        value = (overrides or {}).get(name)
        if isinstance(value, str) and value:
            values[name] = value
    return values


def unique_key(key: str) -> str:
    """Write a key with letters, digits and ``_`` alone, a letter first."""
    return _NOT_WORD.sub("_", _NOT_LETTER.sub("a", key))


def literal_text(literal: Literal, name: str) -> str:
    """
    Write an input as text.

    Numbers and booleans plainly (``3``, ``0.5``, ``true``), times in RFC 3339, durations in seconds (``90s``), blobs,
    schemas and data frames by their location, msgpack as JSON, a list as ``[a,b]``.

    Args:
        literal: The input.
        name: Its name, for the error.

    Raises:
        PermanentError: It has no textual form: a map, a union, none, or a part of a list that is one.
    """
    match literal.WhichOneof("value"):
        case "collection":
            return f"[{','.join(literal_text(item, name) for item in literal.collection.literals)}]"
        case "scalar":
            text = _scalar_text(literal.scalar)
            kind = literal.scalar.WhichOneof("value") or "nothing"
        case other:
            text, kind = None, other or "nothing"
    if text is None:
        raise _bad(f"input {name!r} is {_KINDS.get(kind, kind)} and has no textual form: read it from the inputs")
    return text


_KINDS = {"none_type": "none", "map": "a map", "union": "a union", "offloaded_metadata": "offloaded"}


def _scalar_text(scalar: Scalar) -> str | None:
    match scalar.WhichOneof("value"):
        case "primitive":
            return _primitive_text(scalar.primitive)
        case "blob":
            return str(scalar.blob.uri)
        case "schema":
            return str(scalar.schema.uri)
        case "structured_dataset":
            return str(scalar.structured_dataset.uri)
        case "binary" if scalar.binary.tag == "msgpack":
            return _msgpack_text(scalar.binary.value)
        case _:
            return None


def _primitive_text(primitive: Primitive) -> str | None:
    match primitive.WhichOneof("value"):
        case "integer":
            return str(primitive.integer)
        case "float_value":
            return repr(primitive.float_value).removesuffix(".0")
        case "string_value":
            return str(primitive.string_value)
        case "boolean":
            return "true" if primitive.boolean else "false"
        case "datetime":
            return str(primitive.datetime.ToJsonString())
        case "duration":
            return str(primitive.duration.ToJsonString())
        case _:
            return None


def _msgpack_text(data: bytes) -> str | None:
    import msgspec

    try:
        value: object = msgspec.msgpack.decode(data)
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()
    except (*BAD_JSON, TypeError):
        return None


def _matches(texts: Iterable[str]) -> Iterable[re.Match[str]]:
    return (match for text in texts for match in _VARIABLE.finditer(text))


def _is_known(match: re.Match[str], inputs: Collection[str] | None) -> bool:
    if match["inputs"]:
        return inputs is None or match["input"] in inputs
    return match["name"].lower() in _KNOWN


def _listed(names: Iterable[str]) -> str:
    return f"known are {', '.join(names) or 'none'}"


def _bad(message: str) -> PermanentError:
    return PermanentError(message, code=BAD_SPECIFICATION)
