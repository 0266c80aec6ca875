"""
A raw container's inputs and outputs as files, as Flyte's copilot lays them out.

In: below the input path one file per variable, ``inputs.pb`` with all of them, and ``inputs.json`` or ``inputs.yaml``
as the template asks. Values that are files are copied (as links where they lie on this machine), lists and dicts are
folders. Out: below the output path one file per variable, read by its declared type without the white space around it;
a file ``_ERROR`` says that the task failed, and why.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import TaskContext
from airscrew.idl.errors import UsageError, shorten
from airscrew.idl.literals import from_text, to_json
from airscrew.idl.literals.scalars import blob
from airscrew.idl.template import DataConfig, Variable

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal, LiteralMap
    from flyteidl.core.types_pb2 import LiteralType

StateT = TypeVar("StateT")

ERROR_FILE = "_ERROR"
ERROR_LIMIT = 4000
VALUE_LIMIT = 1024 * 1024
"""A value that is no file may be so long; the copilot allows a thousandth of it."""


class OutputError(Exception):
    """The task did not give the outputs that it declares; the message says which."""


async def lay_out_inputs(context: TaskContext[StateT], config: DataConfig, folder: str) -> None:
    """
    Write the inputs below a folder. Writes the same again when it is called again.

    Raises:
        PermanentError: An input cannot be a file.
    """
    inputs = await context.inputs()
    names = sorted(inputs.literals)
    wanted = names if config.download_mode != "DO_NOT_DOWNLOAD" else []
    for path, content in [
        item for name in wanted for item in _planned(_inside(Path(folder), name), inputs.literals[name])
    ]:
        if isinstance(content, str) and local_path(content) is None:
            data: bytes | str = await context.data.read_bytes(content)
        else:
            data = content
        await asyncio.to_thread(_place, path, data)
    for file, summary in _summaries(inputs, config.format).items():
        await asyncio.to_thread(_place, Path(folder) / file, summary)


def _summaries(inputs: LiteralMap, form: str) -> dict[str, bytes]:
    """Make the files that hold all inputs at once."""
    found = {"inputs.pb": inputs.SerializeToString(deterministic=True)}
    values = {name: to_json(inputs.literals[name]) for name in sorted(inputs.literals)}
    if form == "YAML":
        import yaml

        found["inputs.yaml"] = yaml.safe_dump(values, allow_unicode=True).encode()
    elif form == "JSON":
        found["inputs.json"] = json.dumps(values, ensure_ascii=False).encode()
    return found


def _planned(path: Path, literal: Literal) -> Iterator[tuple[Path, bytes | str]]:
    """List the files that a literal becomes, each with its content or with the URI of it."""
    if literal.scalar.WhichOneof("value") == "union":
        literal = literal.scalar.union.value
    match literal.WhichOneof("value"):
        case "collection":
            for index, item in enumerate(literal.collection.literals):
                yield from _planned(path / str(index), item)
        case "map":
            for key in sorted(literal.map.literals):
                yield from _planned(_inside(path, key), literal.map.literals[key])
        case "scalar":
            yield path, _content(path.name, literal)
        case kind:
            raise PermanentError(f"input {path.name!r} ({kind}) cannot be given as a file", code="BadTaskSpecification")


def _content(name: str, literal: Literal) -> bytes | str:
    match literal.scalar.WhichOneof("value"):
        case "blob":
            return str(literal.scalar.blob.uri)
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


def _place(path: Path, content: bytes | str) -> None:
    """Write bytes, or make a link to what a local URI means."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
        return
    target = local_path(content)
    if target is None or not target.exists():
        raise PermanentError(f"input {path.name!r} is {content}, which is not there", code="InputNotFound")
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def error_text(folder: str) -> str | None:
    """Read what the task wrote into ``_ERROR``; None when it did not."""
    path = Path(folder) / ERROR_FILE
    if not path.exists():
        return None
    return shorten(path.read_text(errors="replace").strip(), ERROR_LIMIT)


def encode_types(outputs: Mapping[str, Variable]) -> dict[str, str]:
    """Encode the types of an interface, for the state."""
    return {
        name: base64.b64encode(variable.type.SerializeToString(deterministic=True)).decode()
        for name, variable in outputs.items()
    }


async def collect_outputs(context: TaskContext[StateT], types: Mapping[str, str], folder: str) -> LiteralMap:
    """
    Make literals of the files below a folder; files go to the raw output prefix. Repeatable.

    Raises:
        OutputError: One is missing, or is not of its type.
    """
    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.core.types_pb2 import LiteralType

    root = Path(folder)
    literals: dict[str, Literal] = {}
    for name, encoded in types.items():
        literal_type = LiteralType.FromString(base64.b64decode(encoded))
        literals[name] = await _read_output(context, name, literal_type, _inside(root, name))
    return LiteralMap(literals=literals)


async def _read_output(context: TaskContext[StateT], name: str, literal_type: LiteralType, path: Path) -> Literal:
    if literal_type.WhichOneof("type") != "blob":
        return await asyncio.to_thread(_read_value, name, literal_type, path)
    uri = f"{context.locations.raw_output_prefix}/{name}"
    local = local_path(uri)
    if local is not None:
        await asyncio.to_thread(_copy, name, path, local)
        # The SDKs refuse ``file://``: a path means the same to everybody.
        return blob(str(local), literal_type.blob)
    for one in await asyncio.to_thread(_files_of, name, path):
        below = "" if one == path else f"/{one.relative_to(path).as_posix()}"
        await context.data.write_bytes(uri + below, await asyncio.to_thread(one.read_bytes))
    return blob(uri, literal_type.blob)


def _read_value(name: str, literal_type: LiteralType, path: Path) -> Literal:
    _check_written(name, path)
    if path.is_dir() or path.stat().st_size > VALUE_LIMIT:
        raise OutputError(f"output {name!r} is a folder, or larger than {VALUE_LIMIT} bytes: declare it as a file")
    try:
        return from_text(path.read_text().strip(), literal_type, name)
    except UnicodeDecodeError:
        raise OutputError(f"output {name!r} is no text: declare it as a file") from None
    except UsageError as error:
        raise OutputError(f"output {error}") from error


def _check_written(name: str, path: Path) -> None:
    if not path.exists():
        raise OutputError(f"output {name!r} was not written: the task has to leave it in a file of that name")


def _files_of(name: str, path: Path) -> list[Path]:
    _check_written(name, path)
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def _copy(name: str, source: Path, target: Path) -> None:
    _check_written(name, source)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def local_path(uri: str) -> Path | None:
    """Give the path that a URI means on this machine; None when it lies elsewhere."""
    if uri.startswith("/"):
        return Path(uri)
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _inside(root: Path, name: str) -> Path:
    if not name or "/" in name or name in {".", ".."}:
        raise PermanentError(f"variable {name!r} cannot be a file's name", code="BadTaskSpecification")
    return root / name
