"""
Whole files at URIs: ``data:``, local paths and ``file:``, and the object stores of ``remote_uri``.

Guarantees:

1. The loop is never blocked by a network or by a large file: small local files are read and written in place, large
   ones in a bounded pool of threads, and object stores are asked without threads of ours.
2. What an object store did not answer, or put off (429, 503), is tried again, writes and deletes too: they are whole
   and idempotent. On this machine only reads are: a disk that fails a write is not asked twice.
3. Every error is one of ``data.errors``; each call ends within the time-out, its retries apart. A thread that a hung
   file system holds beyond it stays busy until that gives up.
4. No file over the limit is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from types import TracebackType
from typing import Self, TypeVar, final

from airscrew.engine.data import local_files
from airscrew.engine.data.data_uri import decode_data_uri, is_data_uri
from airscrew.engine.data.errors import (
    FileMissingError,
    LocationError,
    SizeExceededError,
    StorageUnavailableError,
    shown,
)
from airscrew.engine.data.local_files import Entry, is_local
from airscrew.engine.data.remote_files import RemoteFiles
from airscrew.engine.data.remote_uri import parse_remote
from airscrew.engine.retries import READS, RetryPolicy, retry

T = TypeVar("T")

MAX_FILE_BYTES = 10 * 1024 * 1024
"""What no metadata file may exceed unless the caller says otherwise; large data belongs into blobs."""

INLINE_BYTES = 64 * 1024
"""Local files up to this are read and written in place: that takes less time than a change of threads."""


@final
class Storage:
    """
    Reads and writes files; open it with ``async with``.

    Args:
        threads: How many calls may be in threads at once.
        timeout: Seconds that a call may take, its retries apart.
        policy: How calls are tried again.
        random: Spreads the pauses between.
        max_bytes: What no file that is read may exceed unless the call says otherwise.
        inline_bytes: Local files up to this are read and written in place; 0 for file systems that may hang.
    """

    def __init__(
        self,
        *,
        threads: int = 8,
        timeout: float = 60.0,
        policy: RetryPolicy = READS,
        random: Random | None = None,
        max_bytes: int = MAX_FILE_BYTES,
        inline_bytes: int = INLINE_BYTES,
    ) -> None:
        self.max_bytes = max_bytes
        self._threads = threads
        self._timeout = timeout
        self._policy = policy
        self._random = random or Random()
        self._remote = RemoteFiles(timeout=timeout)
        self._inline_bytes = inline_bytes
        self._pool: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="airscrew-data")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        self._remote.close()

    async def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """
        Read a whole file.

        Args:
            uri: Where it lies.
            limit: How many bytes it may have; None for the storage's own limit.

        Raises:
            FileMissingError: Nothing lies there.
            StorageUnavailableError: Ask again later.
            PermanentError: It cannot be read, or is too large.
        """
        most = self.max_bytes if limit is None else limit
        if is_data_uri(uri):
            data = decode_data_uri(uri)
            if len(data) > most:
                raise SizeExceededError(uri, len(data), most)
            return data
        if not is_local(uri):
            return await self._again(partial(self._remote.read, uri, most), uri)
        if self._inline_bytes and local_files.size_of(uri) <= self._inline_bytes:
            return local_files.read(uri, most)
        return await self._read_again(partial(local_files.read, uri, most), uri)

    async def write(self, uri: str, data: bytes, *, durable: bool = True) -> None:
        """
        Write a whole file in place of what lay there; makes the folders on the way.

        Args:
            uri: Where it is to lie.
            data: Its bytes.
            durable: Whether it must survive a crash of the machine; not needed for what can be written again.

        Raises:
            StorageUnavailableError: It may or may not have been written; write it again later.
            PermanentError: It cannot be written there.
        """
        if is_data_uri(uri):
            raise LocationError("nothing can be written to a data: URI")
        if not is_local(uri):
            await self._again(partial(self._remote.write, uri, data), uri)
        elif not durable and len(data) <= self._inline_bytes:
            local_files.write(uri, data, durable=False)
        else:
            await self._in_thread(partial(local_files.write, uri, data, durable=durable), uri)

    async def exists(self, uri: str) -> bool:
        """
        Tell whether a file lies there.

        Raises:
            StorageUnavailableError: Ask again later.
            PermanentError: It cannot be known.
        """
        if is_data_uri(uri):
            return True
        if not is_local(uri):
            return await self._again(partial(self._remote.exists, uri), uri)
        if self._inline_bytes:
            return local_files.exists(uri)
        return await self._read_again(partial(local_files.exists, uri), uri)

    async def list(self, prefix: str) -> list[Entry]:
        """
        List the files right below a location by name, with their sizes; none when nothing lies there.

        Raises:
            StorageUnavailableError: Ask again later.
            PermanentError: It cannot be listed.
        """
        if not is_local(prefix):
            return await self._again(partial(self._remote.entries, prefix), prefix)
        if self._inline_bytes:
            return local_files.entries(prefix)
        return await self._read_again(partial(local_files.entries, prefix), prefix)

    async def list_below(self, prefix: str) -> Sequence[Entry]:
        """
        List the files below a location, however deep, each by its path from there; none when nothing lies there.

        Raises:
            StorageUnavailableError: Ask again later.
            PermanentError: It cannot be listed.
        """
        if is_local(prefix):
            return await self._read_again(partial(local_files.entries_below, prefix), prefix)
        return await self._again(partial(self._remote.entries_below, prefix), prefix)

    async def delete(self, uri: str) -> None:
        """
        Delete a file; nothing happens when there is none.

        Raises:
            StorageUnavailableError: It may or may not be gone; delete it again later.
            PermanentError: It cannot be deleted.
        """
        if is_data_uri(uri):
            return
        if is_local(uri):
            local_files.delete(uri)
        else:
            await self._again(partial(self._remote.delete, uri), uri)

    async def delete_below(self, prefix: str) -> None:
        """
        Delete all files below a location, however deep; nothing happens when there are none.

        Raises:
            StorageUnavailableError: Some may be gone; delete again later.
            PermanentError: They cannot be deleted, or the location is a whole bucket or machine.
        """
        if is_data_uri(prefix):
            return
        if is_local(prefix):
            await self._in_thread(partial(local_files.delete_below, prefix), prefix)
        else:
            await self._again(partial(self._remote.delete_below, prefix), prefix)

    async def _read_again(self, work: Callable[[], T], uri: str) -> T:
        return await self._again(partial(self._in_thread, work, uri), uri)

    async def _again(self, call: Callable[[], Awaitable[T]], uri: str) -> T:
        return await retry(
            partial(self._in_time, call, uri), worth_retrying=_may_pass, random=self._random, policy=self._policy
        )

    async def _in_thread(self, work: Callable[[], T], uri: str) -> T:
        assert self._pool is not None, "open the storage with `async with` first"
        running = partial(asyncio.get_running_loop().run_in_executor, self._pool, work)
        return await self._in_time(running, uri)

    async def _in_time(self, call: Callable[[], Awaitable[T]], uri: str) -> T:
        assert self._pool is not None, "open the storage with `async with` first"
        try:
            async with asyncio.timeout(self._timeout):
                return await call()
        except TimeoutError:
            raise StorageUnavailableError(f"{shown(uri)}: no answer within {self._timeout:g} s") from None


def check_location(uri: str) -> None:
    """
    Check, without a connection, that files can be had at such a URI: for submissions and configuration.

    Raises:
        LocationError: They cannot.
    """
    if is_data_uri(uri):
        decode_data_uri(uri)
    elif is_local(uri):
        local_files.local_path(uri)
    else:
        parse_remote(uri)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, StorageUnavailableError)


__all__ = ["Entry", "FileMissingError", "Storage", "check_location"]
