"""
What the data loader does: bring inputs before the task, take outputs after it.

Both are whole and may be done again. An output counts once ``outputs.pb`` is written, which is the last thing.
"""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import TYPE_CHECKING

from airscrew.engine.data.storage import Storage
from airscrew.idl.literals import decode_literal_map, encode_literal_map
from airscrew.idl.literals.scalars import blob
from airscrew.idl.wire import WireForm
from airscrew.plugins.kubernetes.loader.job import LoaderJob
from airscrew.plugins.raw_files import Remote, error_text, files_of, inside, planned, read_value, summaries

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal
    from flyteidl.core.types_pb2 import LiteralType

OUTPUTS_FILE = "outputs.pb"


class TaskFailedError(Exception):
    """The task has written ``_ERROR``; the message is what it says."""


async def download(job: LoaderJob, storage: Storage) -> None:
    """
    Lay the inputs out as files.

    Raises:
        StorageError: They could not be read.
        PermanentError: One cannot be a file, or cannot be read.
        WireError: They are no inputs.
        OSError: The folder cannot be written.
    """
    data = await storage.read(job.input_uri) if job.input_uri else b""
    inputs = decode_literal_map(data, WireForm(job.wire))
    root = Path(job.input_path)
    await asyncio.to_thread(root.mkdir, parents=True, exist_ok=True)
    for name in sorted(inputs) if job.downloads_values else ():
        for path, content in planned(inside(root, name), inputs[name]):
            if isinstance(content, Remote):
                await _fetch(storage, content, path)
            else:
                await asyncio.to_thread(_write, path, content)
    for file, summary in summaries(inputs, data, job.form).items():
        await asyncio.to_thread(_write, root / file, summary)


async def upload(job: LoaderJob, storage: Storage) -> None:
    """
    Take the outputs away.

    Raises:
        TaskFailedError: The task says that it failed; nothing was uploaded.
        OutputError: One is missing, or is not of its type.
        StorageError: One could not be written.
        PermanentError: One can never be written.
        OSError: One cannot be read.
    """
    said = await asyncio.to_thread(error_text, job.output_path)
    if said is not None:
        raise TaskFailedError(said or "the task wrote an empty _ERROR")
    if not job.outputs:
        return
    literals = {name: await _output(job, storage, name, _type(encoded)) for name, encoded in job.outputs.items()}
    data = encode_literal_map(literals, WireForm(job.wire))
    await storage.write(f"{job.output_prefix}/{OUTPUTS_FILE}", data)


async def _fetch(storage: Storage, content: Remote, path: Path) -> None:
    if not content.is_folder:
        await asyncio.to_thread(_write, path, await storage.read(content.uri))
        return
    await asyncio.to_thread(path.mkdir, parents=True, exist_ok=True)
    for entry in await storage.list_below(content.uri):
        await asyncio.to_thread(_write, _inside_all(path, entry.name), await storage.read(entry.uri))


def _inside_all(root: Path, below: str) -> Path:
    for name in below.split("/"):
        root = inside(root, name)
    return root


async def _output(job: LoaderJob, storage: Storage, name: str, literal_type: LiteralType) -> Literal:
    path = inside(Path(job.output_path), name)
    if literal_type.WhichOneof("type") != "blob":
        return await asyncio.to_thread(read_value, name, literal_type, path)
    uri = f"{job.raw_output_prefix}/{name}"
    for one in await asyncio.to_thread(files_of, name, path):
        below = "" if one == path else f"/{one.relative_to(path).as_posix()}"
        await storage.write(uri + below, await asyncio.to_thread(one.read_bytes))
    return blob(uri, literal_type.blob)


def _type(encoded: str) -> LiteralType:
    from flyteidl.core.types_pb2 import LiteralType

    return LiteralType.FromString(base64.b64decode(encoded))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
