"""
A raw container's inputs and outputs as files, as Flyte's copilot lays them out: what lies where. Nothing remote.

In: below the input path one file per variable, ``inputs.pb`` with all of them, and ``inputs.json`` or ``inputs.yaml``
as the template asks. Lists and dicts are folders. Out: below the output path one file per variable, read by its
declared type without the white space around it; a file ``_ERROR`` says that the task failed, and why.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from airscrew.engine.errors import PermanentError
from airscrew.idl.errors import UsageError, shorten
from airscrew.idl.literals import from_text, to_json

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal
    from flyteidl.core.types_pb2 import LiteralType

ERROR_FILE = "_ERROR"
ERROR_LIMIT = 4000
VALUE_LIMIT = 1024 * 1024
"""A value that is no file may be so long; the copilot allows a thousandth of it."""


class OutputError(Exception):
    """The task did not give the outputs that it declares; the message says which."""


@dataclass(frozen=True, slots=True)
class Remote:
    """
    An input that lies somewhere else.

    Attributes:
        uri: Where.
        is_folder: Whether it is a folder.
    """

    uri: str
    is_folder: bool = False


def planned(path: Path, literal: Literal) -> Iterator[tuple[Path, bytes | Remote]]:
    """
    List the files that an input becomes, each with its content or with where it lies.

    Raises:
        PermanentError: It cannot be given as files.
    """
    if literal.scalar.WhichOneof("value") == "union":
        literal = literal.scalar.union.value
    match literal.WhichOneof("value"):
        case "collection":
            for index, item in enumerate(literal.collection.literals):
                yield from planned(path / str(index), item)
        case "map":
            for key in sorted(literal.map.literals):
                yield from planned(inside(path, key), literal.map.literals[key])
        case "scalar":
            yield path, _content(path.name, literal)
        case kind:
            raise PermanentError(f"input {path.name!r} ({kind}) cannot be given as a file", code="BadTaskSpecification")


def summaries(inputs: Mapping[str, Literal], message: bytes, form: str) -> dict[str, bytes]:
    """
    Make the files that hold all inputs at once, by their names.

    Args:
        inputs: By variable.
        message: The same as they are on the wire: ``inputs.pb``.
        form: ``JSON``, ``YAML``, or ``PROTO`` for none beside it.
    """
    found = {"inputs.pb": message}
    if form == "PROTO":
        return found
    values = {name: to_json(inputs[name]) for name in sorted(inputs)}
    if form == "YAML":
        import yaml

        found["inputs.yaml"] = yaml.safe_dump(values, allow_unicode=True).encode()
    elif form == "JSON":
        found["inputs.json"] = json.dumps(values, ensure_ascii=False).encode()
    return found


def error_text(folder: str) -> str | None:
    """Read what the task wrote into ``_ERROR``; None when it did not."""
    path = Path(folder) / ERROR_FILE
    if not path.exists():
        return None
    return shorten(path.read_text(errors="replace").strip(), ERROR_LIMIT)


def read_value(name: str, literal_type: LiteralType, path: Path) -> Literal:
    """
    Read an output that is no file by its type.

    Raises:
        OutputError: It is missing, too large, or not of its type.
    """
    check_written(name, path)
    if path.is_dir() or path.stat().st_size > VALUE_LIMIT:
        raise OutputError(f"output {name!r} is a folder, or larger than {VALUE_LIMIT} bytes: declare it as a file")
    try:
        return from_text(path.read_text().strip(), literal_type, name)
    except UnicodeDecodeError:
        raise OutputError(f"output {name!r} is no text: declare it as a file") from None
    except UsageError as error:
        raise OutputError(f"output {error}") from error


def check_written(name: str, path: Path) -> None:
    """
    Check that an output is there.

    Raises:
        OutputError: It is not.
    """
    if not path.exists():
        raise OutputError(f"output {name!r} was not written: the task has to leave it in a file of that name")


def files_of(name: str, path: Path) -> list[Path]:
    """
    List the files of an output that is a file or a folder.

    Raises:
        OutputError: It is not there.
    """
    check_written(name, path)
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def inside(root: Path, name: str) -> Path:
    """
    Give the path of a variable below a folder.

    Raises:
        PermanentError: Its name leads elsewhere.
    """
    if not name or "/" in name or name in {".", ".."}:
        raise PermanentError(f"variable {name!r} cannot be a file's name", code="BadTaskSpecification")
    return root / name


def _content(name: str, literal: Literal) -> bytes | Remote:
    match literal.scalar.WhichOneof("value"):
        case "blob":
            found = literal.scalar.blob
            return Remote(str(found.uri), int(found.metadata.type.dimensionality) == 1)
        case "binary":
            return bytes(literal.scalar.binary.value)
        case "none_type":
            return b"null"
        case "primitive" | "generic":
            return _text(to_json(literal)).encode()
        case kind:
            raise PermanentError(f"input {name!r} ({kind}) cannot be given as a file", code="BadTaskSpecification")


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case float() if math.isfinite(value):
            return f"{Decimal(repr(value)):f}"
        case _:
            return json.dumps(value, ensure_ascii=False)
