"""
What an attempt left below its output prefix, and storing what an executor gave instead.

``read_result`` lists the prefix once and judges in this order:

=====================================  =====================================================================
found                                  result
=====================================  =====================================================================
``error.pb``, ``error-<uuid>.pb``      ``Failed`` as the document says: kind, code, recoverable. Of several,
                                       the one with the earliest time (a job of many workers: who failed first)
an error document that is none         ``Failed`` ``ErrorFileBadFormat``, SYSTEM, recoverable
``futures.pb`` (Flyte 1)               ``Futures``: the plan of children
``outputs.pb``                         ``Outputs``, or ``Failed`` when it is not as declared:
  larger than the limit                ``OutputSizeExceeded``, USER, permanent
  no literal map                       ``OutputsInvalid``, USER, permanent
  an output of another type            ``OutputsInvalid``, USER, permanent
  a declared output is missing         ``OutputsNotFound``, USER, recoverable
nothing, and no output is declared     ``Outputs`` without literals and without a location
nothing, but outputs are declared      ``Missing``: ``missing_failure`` makes of it ``OutputsNotFound``, recoverable,
                                       unless the executor says that it is a success
=====================================  =====================================================================

Outputs beyond the declared ones are kept. An offloaded literal is taken by the type that its writer gave. Whatever the
result, it says where the task's page for people lies, if it wrote one.

Errors of the storage itself are not results: they are raised, and the caller asks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airscrew.engine.data.data_uri import MAX_INLINE_BYTES, encode_data_uri
from airscrew.engine.data.errors import SizeExceededError
from airscrew.engine.data.local_files import Entry
from airscrew.engine.data.locations import deck_name
from airscrew.engine.data.storage import Storage
from airscrew.engine.executor.context import Locations
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.literals import (
    ErrorDocument,
    decode_error_document,
    decode_literal_map,
    encode_literal_map,
    literal_matches,
    type_name,
)
from airscrew.idl.template.model import Variable
from airscrew.idl.wire import WireError, WireForm

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal

OUTPUTS = "outputs.pb"
ERROR = "error.pb"
FUTURES = "futures.pb"

MAX_ERROR_BYTES = 4 * 1024 * 1024
MAX_ERROR_FILES = 1000
"""A job of more workers that all failed is judged by so many of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """
    The attempt gave what it declares.

    Attributes:
        literals: By output.
        uri: Where they lie; empty when there are none.
        size: Of the file in bytes.
        deck_uri: The task's page for people; empty for none. Likewise below.
    """

    literals: Mapping[str, Literal]
    uri: str
    size: int
    deck_uri: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """
    The attempt says that it failed, or what it left is not as declared.

    Attributes:
        error: Why.
        recoverable: Whether another attempt may help.
        occurred_at: When, Unix seconds; None when not said.
        deck_uri: The task's page for people.
    """

    error: ExecutionError
    recoverable: bool
    occurred_at: float | None = None
    deck_uri: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Futures:
    """
    The attempt left a plan of children instead of outputs.

    Attributes:
        data: The bytes of ``futures.pb``.
        uri: Where it lies.
        deck_uri: The task's page for people.
    """

    data: bytes
    uri: str
    deck_uri: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """
    The attempt left nothing, though it declares outputs.

    Attributes:
        uri: Where outputs were looked for.
        deck_uri: The task's page for people.
    """

    uri: str
    deck_uri: str = ""


AttemptResult = Outputs | Failed | Futures | Missing


async def read_result(
    storage: Storage,
    prefix: str,
    *,
    wire: WireForm,
    declared: Mapping[str, Variable],
    limit: int | None = None,
) -> AttemptResult:
    """
    Read what an attempt left.

    Args:
        storage: Where it lies.
        prefix: Below which location: ``OutputsAt.prefix``.
        wire: The form of the task.
        declared: The outputs of the task's interface.
        limit: How many bytes ``outputs.pb`` and ``futures.pb`` may have; None for the storage's limit.

    Raises:
        StorageUnavailableError: Ask again later.
        PermanentError: The engine may not read there, or the prefix is no location.
    """
    found = {entry.name: entry for entry in await storage.list(prefix)}
    deck = _deck_uri(found, wire)
    failed = await _read_errors(storage, found, wire)
    if failed is not None:
        return replace(failed, deck_uri=deck)
    if FUTURES in found and wire is WireForm.FLYTE1:
        return await _read_futures(storage, found[FUTURES], limit, deck)
    if OUTPUTS in found:
        return await _read_outputs(storage, found[OUTPUTS], wire, declared, limit, deck)
    if declared:
        return Missing(uri=f"{prefix.rstrip('/')}/{OUTPUTS}", deck_uri=deck)
    return Outputs(literals={}, uri="", size=0, deck_uri=deck)


async def read_failure(storage: Storage, prefix: str, *, wire: WireForm) -> tuple[Failed | None, str]:
    """
    Read the error that a failed attempt left, if any, and where its page for people lies.

    Raises:
        StorageUnavailableError: Ask again later.
        PermanentError: The engine may not read there, or the prefix is no location.
    """
    found = {entry.name: entry for entry in await storage.list(prefix)}
    deck = _deck_uri(found, wire)
    failed = await _read_errors(storage, found, wire)
    return (None if failed is None else replace(failed, deck_uri=deck)), deck


def missing_failure(missing: Missing, declared: Iterable[str]) -> Failed:
    """Say that an attempt failed because it left nothing."""
    names = ", ".join(declared)
    error = user_error("OutputsNotFound", f"the task ended well and left no outputs ({names}) at {missing.uri}")
    return Failed(error=error, recoverable=True, deck_uri=missing.deck_uri)


def check_outputs(literals: Mapping[str, Literal], declared: Mapping[str, Variable]) -> Failed | None:
    """Compare outputs with the interface: pure; None when all is well."""
    missing = [f"{name}: {type_name(declared[name].type)}" for name in declared if name not in literals]
    if missing:
        error = user_error("OutputsNotFound", f"the task left no output {', '.join(missing)}")
        return Failed(error=error, recoverable=True)
    for name, variable in declared.items():
        mismatch = literal_matches(literals[name], variable.type)
        if mismatch is not None:
            error = user_error("OutputsInvalid", f"output {name!r} is not as declared: {mismatch}")
            return Failed(error=error, recoverable=False)
    return None


async def store_outputs(
    storage: Storage,
    literals: Mapping[str, Literal],
    wire: WireForm,
    locations: Locations,
    *,
    as_file: bool = False,
    limit: int | None = None,
) -> str:
    """
    Keep outputs that an executor gave, and return their URI.

    Small ones travel in the URI itself. Storing the same again changes nothing.

    Args:
        storage: Where a file goes.
        literals: By output.
        wire: The form of the task.
        locations: Where the attempt writes.
        as_file: Whether somebody wants ``outputs.pb`` in any case.
        limit: How many bytes they may have; None for the storage's limit.

    Raises:
        SizeExceededError: They are larger than the limit.
        StorageUnavailableError: Store them again later.
        PermanentError: Nothing can be written there.
    """
    if not literals and not as_file:
        return ""
    data = encode_literal_map(literals, wire)
    uri = f"{locations.output_prefix}/{OUTPUTS}"
    most = storage.max_bytes if limit is None else limit
    if len(data) > most:
        raise SizeExceededError(uri, len(data), most)
    if len(data) <= MAX_INLINE_BYTES and not as_file:
        return encode_data_uri(data)
    await storage.write(uri, data)
    return uri


def user_error(code: str, message: str) -> ExecutionError:
    """Make an error that the user has to answer for."""
    return ExecutionError(code=code, message=message, kind=ErrorKind.USER)


def earliest(failures: Sequence[Failed]) -> Failed:
    """Pick who failed first: those without a time come last, and the order given settles a tie."""
    return min(failures, key=lambda one: float("inf") if one.occurred_at is None else one.occurred_at)


def _deck_uri(found: Mapping[str, Entry], wire: WireForm) -> str:
    entry = found.get(deck_name(wire))
    return "" if entry is None else entry.uri


async def _read_errors(storage: Storage, found: Mapping[str, Entry], wire: WireForm) -> Failed | None:
    names = [name for name in sorted(found) if name == ERROR or (name.startswith("error-") and name.endswith(".pb"))]
    if not names:
        return None
    return earliest([await _read_error(storage, found[name], wire) for name in names[:MAX_ERROR_FILES]])


async def _read_error(storage: Storage, entry: Entry, wire: WireForm) -> Failed:
    try:
        document: ErrorDocument = decode_error_document(
            await storage.read(entry.uri, limit=MAX_ERROR_BYTES), wire, uri=entry.uri
        )
    except (WireError, SizeExceededError) as error:
        reason = ExecutionError(code="ErrorFileBadFormat", message=str(error), kind=ErrorKind.SYSTEM, uri=entry.uri)
        return Failed(error=reason, recoverable=True)
    return Failed(error=document.error, recoverable=document.recoverable, occurred_at=document.occurred_at)


async def _read_futures(storage: Storage, entry: Entry, limit: int | None, deck: str) -> Futures | Failed:
    try:
        return Futures(data=await storage.read(entry.uri, limit=limit), uri=entry.uri, deck_uri=deck)
    except SizeExceededError as error:
        return Failed(error=user_error(error.code, str(error)), recoverable=False, deck_uri=deck)


async def _read_outputs(
    storage: Storage,
    entry: Entry,
    wire: WireForm,
    declared: Mapping[str, Variable],
    limit: int | None,
    deck: str,
) -> Outputs | Failed:
    try:
        data = await storage.read(entry.uri, limit=limit)
        literals = decode_literal_map(data, wire)
    except SizeExceededError as error:
        return Failed(error=user_error(error.code, str(error)), recoverable=False, deck_uri=deck)
    except WireError as error:
        invalid = user_error("OutputsInvalid", f"{entry.uri}: {error}")
        return Failed(error=invalid, recoverable=False, deck_uri=deck)
    failed = check_outputs(literals, declared)
    if failed is not None:
        return replace(failed, deck_uri=deck)
    return Outputs(literals=literals, uri=entry.uri, size=len(data), deck_uri=deck)
