"""
A raw container's inputs and outputs for a process: see ``airscrew.plugins.raw_files`` for what lies where.

Inputs that are files are copied, or become links where they lie on this machine.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import TaskContext
from airscrew.idl.literals.scalars import blob
from airscrew.idl.template import DataConfig, Variable
from airscrew.plugins.raw_files import Remote, check_written, files_of, inside, planned, read_value, summaries

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal, LiteralMap
    from flyteidl.core.types_pb2 import LiteralType

StateT = TypeVar("StateT")


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
        item for name in wanted for item in planned(inside(Path(folder), name), inputs.literals[name])
    ]:
        data = content
        if isinstance(content, Remote) and local_path(content.uri) is None:
            data = await context.data.read_bytes(content.uri)
        await asyncio.to_thread(_place, path, data)
    message = inputs.SerializeToString(deterministic=True)
    for file, summary in summaries(inputs.literals, message, config.format).items():
        await asyncio.to_thread(_place, Path(folder) / file, summary)


def _place(path: Path, content: bytes | Remote) -> None:
    """Write bytes, or make a link to what a local URI means."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
        return
    target = local_path(content.uri)
    if target is None or not target.exists():
        raise PermanentError(f"input {path.name!r} is {content.uri}, which is not there", code="InputNotFound")
    path.unlink(missing_ok=True)
    path.symlink_to(target)


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
        literals[name] = await _read_output(context, name, literal_type, inside(root, name))
    return LiteralMap(literals=literals)


async def _read_output(context: TaskContext[StateT], name: str, literal_type: LiteralType, path: Path) -> Literal:
    if literal_type.WhichOneof("type") != "blob":
        return await asyncio.to_thread(read_value, name, literal_type, path)
    uri = f"{context.locations.raw_output_prefix}/{name}"
    local = local_path(uri)
    if local is not None:
        await asyncio.to_thread(_copy, name, path, local)
        # The SDKs refuse ``file://``: a path means the same to everybody.
        return blob(str(local), literal_type.blob)
    for one in await asyncio.to_thread(files_of, name, path):
        below = "" if one == path else f"/{one.relative_to(path).as_posix()}"
        await context.data.write_bytes(uri + below, await asyncio.to_thread(one.read_bytes))
    return blob(uri, literal_type.blob)


def _copy(name: str, source: Path, target: Path) -> None:
    check_written(name, source)
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
