"""
Calls by ``aiohttp``, told plainly: what went wrong, by the built-in error classes, and answers up to a limit.

The difference decides whether something may exist: ``ConnectionRefusedError`` when certainly nothing was sent,
``TimeoutError`` or another ``OSError`` when nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp


@contextmanager
def told_plainly(where: str, timeout: float) -> Iterator[None]:
    """
    Turn what the library raises into the built-in errors.

    Args:
        where: Whom the call is to, for people.
        timeout: How long it may take, seconds.

    Raises:
        ConnectionRefusedError: No connection came about: certainly nothing was sent.
        TimeoutError: No answer in time: the request may have arrived.
        OSError: The connection broke: the request may have arrived.
    """
    import aiohttp

    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise ConnectionRefusedError(f"no connection to {where}: {_reason(error)}") from error
    except TimeoutError as error:
        raise TimeoutError(f"no answer from {where} within {timeout:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise ConnectionResetError(f"the connection to {where} broke: {error}") from error


async def read_whole(stream: aiohttp.StreamReader, limit: int) -> bytes:
    """
    Read an answer into memory.

    Raises:
        ConnectionResetError: It is over so many bytes.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in stream.iter_any():
        size += len(chunk)
        if size > limit:
            raise ConnectionResetError(f"the answer is over {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", None)
    return str(cause.strerror) if isinstance(cause, OSError) and cause.strerror else str(error)
