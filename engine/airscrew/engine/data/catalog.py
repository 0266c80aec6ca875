"""
The task cache: outputs of tasks that ran before, and who is making some right now.

Guarantees:

1. Equal runs have equal keys, in every process and version: the key is made of the task's project, domain and name,
   the cache version, the wire form, the interface, and the inputs without the ignored ones. The order of maps does
   not count. A literal that carries a hash of its own counts by that hash, whatever its value; any other blob or data
   frame counts by its location.
2. ``reserve`` lets one owner in at a time. A reservation that is not extended is over after its time by the wall
   clock; who still works without one makes outputs twice, and nothing worse.
3. ``put`` and ``release`` of somebody who no longer holds the reservation leave another's alone.
4. A cache is never needed: each error of it may be taken as a miss.

Keys in the store: ``cache/entry/<key>`` and ``cache/reservation/<key>``. Whoever waits for a reservation watches
``RESERVATIONS`` and wakes on a delete; ``key_of_reservation`` says of what.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType, Protocol, TypeVar, final

import msgspec
from typing_extensions import override

from airscrew.engine.clock import Clock
from airscrew.idl.json_tree import BAD_JSON
from airscrew.idl.wire import WireForm, canonical_bytes
from airscrew.state.errors import StoreUnavailableError
from airscrew.state.store import Compare, Delete, KeyValue, Operation, Put, Store

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal, Scalar

    from airscrew.idl.template.model import Interface, Variable

CacheKey = NewType("CacheKey", str)
"""40 hexadecimal digits."""

ENTRIES = "cache/entry/"
RESERVATIONS = "cache/reservation/"

KEY_VERSION = 1
"""Grows when keys are made in another way: old entries are then never found again."""

TRIES = 8
"""How often a write is tried against others' writes of the same key."""


class CacheEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Outputs that are kept.

    Attributes:
        v: Schema version of the writer.
        output_uri: Where they lie; ``data:`` for small ones, empty for a task without outputs.
        at: When they were put, Unix seconds.
        task_name: For people.
        execution: ``namespace/name`` of who made them.
        uid: Its UID.
    """

    v: int = 1
    output_uri: str = ""
    at: float = 0.0
    task_name: str = ""
    execution: str = ""
    uid: str = ""


class Reservation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Who is making outputs.

    Attributes:
        owner: Whoever reserved.
        until: When it is over unless it is extended, Unix seconds.
    """

    owner: str
    until: float


@dataclass(frozen=True, slots=True)
class Reserved:
    """The caller may go on; extend it before ``until`` by reserving again."""

    until: float


@dataclass(frozen=True, slots=True)
class HeldBy:
    """Another is at it until then, or longer."""

    owner: str
    until: float


class Catalog(Protocol):
    """Keeps outputs by key."""

    async def lookup(self, key: CacheKey, *, max_age: float | None = None) -> CacheEntry | None:
        """Find outputs that are not older than so many seconds; None when there are none."""
        ...

    async def put(self, key: CacheKey, entry: CacheEntry, *, owner: str = "") -> None:
        """Keep outputs in place of older ones, and give the owner's reservation back. Idempotent by the key."""
        ...

    async def remove(self, key: CacheKey) -> None:
        """Forget outputs. Idempotent by the key."""
        ...

    async def reserve(self, key: CacheKey, owner: str, ttl: float) -> Reserved | HeldBy:
        """Reserve for so many seconds, or extend what the owner holds. Idempotent by key and owner."""
        ...

    async def release(self, key: CacheKey, owner: str) -> None:
        """Give a reservation back; nothing happens when the owner does not hold it. Idempotent by key and owner."""
        ...


@final
class StoreCatalog(Catalog):
    """
    A catalog in a store.

    Args:
        store: Where it is kept.
        clock: Its wall clock ends reservations.
        exists: Tells whether a location still holds outputs; an entry whose outputs are gone is forgotten. None to
            take entries on trust.
    """

    def __init__(self, store: Store, clock: Clock, exists: Callable[[str], Awaitable[bool]] | None = None) -> None:
        self._store = store
        self._clock = clock
        self._exists = exists

    @override
    async def lookup(self, key: CacheKey, *, max_age: float | None = None) -> CacheEntry | None:
        stored = await self._store.get(ENTRIES + key)
        entry = _decoded(stored, CacheEntry)
        if stored is None or entry is None:
            return None
        if max_age is not None and self._clock.now() - entry.at > max_age:
            return None
        if self._exists is not None and entry.output_uri and not await self._exists(entry.output_uri):
            # Outputs that are gone make no hit; a newer entry, written meanwhile, stays.
            await self._store.txn([Compare(stored.key, stored.mod_revision)], [Delete(stored.key)])
            return None
        return entry

    @override
    async def put(self, key: CacheKey, entry: CacheEntry, *, owner: str = "") -> None:
        value = msgspec.json.encode(entry)
        if not owner:
            await self._store.txn([], [Put(ENTRIES + key, value)])
            return
        for _ in range(TRIES):
            compares, operations = await self._giving_back(key, owner)
            result = await self._store.txn(compares, [Put(ENTRIES + key, value), *operations])
            if result.succeeded:
                return
        raise StoreUnavailableError(f"cache entry {key} is written by too many at once")

    @override
    async def remove(self, key: CacheKey) -> None:
        await self._store.txn([], [Delete(ENTRIES + key)])

    @override
    async def reserve(self, key: CacheKey, owner: str, ttl: float) -> Reserved | HeldBy:
        name = RESERVATIONS + key
        for _ in range(TRIES):
            stored = await self._store.get(name)
            now = self._clock.now()
            held = _decoded(stored, Reservation)
            if held is not None and held.owner != owner and held.until > now:
                return HeldBy(held.owner, held.until)
            mine = Reservation(owner=owner, until=now + ttl)
            compare = Compare(name, 0 if stored is None else stored.mod_revision)
            result = await self._store.txn([compare], [Put(name, msgspec.json.encode(mine))])
            if result.succeeded:
                return Reserved(mine.until)
        raise StoreUnavailableError(f"cache reservation {key} is written by too many at once")

    @override
    async def release(self, key: CacheKey, owner: str) -> None:
        for _ in range(TRIES):
            compares, operations = await self._giving_back(key, owner)
            if not operations or (await self._store.txn(compares, operations)).succeeded:
                return
        raise StoreUnavailableError(f"cache reservation {key} is written by too many at once")

    async def _giving_back(self, key: CacheKey, owner: str) -> tuple[list[Compare], list[Operation]]:
        name = RESERVATIONS + key
        stored = await self._store.get(name)
        held = _decoded(stored, Reservation)
        if stored is None or held is None or held.owner != owner:
            return [], []
        return [Compare(name, stored.mod_revision)], [Delete(name)]


def key_of_reservation(store_key: str) -> CacheKey:
    """Read the cache's key out of the store's key of a reservation."""
    return CacheKey(store_key.removeprefix(RESERVATIONS))


def cache_key(
    task_id: Mapping[str, str],
    cache_version: str,
    interface: Interface,
    inputs: Mapping[str, Literal],
    *,
    ignored: Collection[str] = (),
    wire: WireForm = WireForm.FLYTE1,
) -> CacheKey:
    """
    Make the key of a run. Pure.

    Args:
        task_id: project, domain and name of the template's id; its version does not count.
        cache_version: ``discovery_version`` of its metadata.
        interface: Its inputs and outputs: a task with another interface is another task.
        inputs: The inputs of the run.
        ignored: Names of inputs that do not count.
        wire: The form of the task: outputs are read in it.
    """
    counted = {name: literal for name, literal in inputs.items() if name not in ignored}
    parts = (
        str(KEY_VERSION),
        wire.value,
        *(task_id.get(name, "") for name in ("org", "project", "domain", "name")),
        cache_version,
        interface_hash(interface),
        inputs_hash(counted),
    )
    return CacheKey(_digest("key", *(part.encode() for part in parts)).hex())


def interface_hash(interface: Interface) -> str:
    """Hash names and types of inputs and outputs; descriptions and order do not count."""
    return _digest("interface", _variables(interface.inputs), _variables(interface.outputs)).hex()


def inputs_hash(inputs: Mapping[str, Literal]) -> str:
    """Hash inputs by name; their order does not count."""
    return _named("inputs", {name: _literal(literal) for name, literal in inputs.items()}).hex()


def _variables(variables: Mapping[str, Variable]) -> bytes:
    return _named("variables", {name: canonical_bytes(variable.type) for name, variable in variables.items()})


def _literal(literal: Literal) -> bytes:
    if literal.hash:
        return _digest("hash", literal.hash.encode())
    match literal.WhichOneof("value"):
        case "collection":
            return _digest("collection", *(_literal(item) for item in literal.collection.literals))
        case "map":
            return _named("map", {name: _literal(item) for name, item in literal.map.literals.items()})
        case "scalar":
            return _scalar(literal.scalar)
        case "offloaded_metadata":
            return _digest("offloaded", literal.offloaded_metadata.uri.encode())
        case _:
            return _digest("nothing")


def _scalar(scalar: Scalar) -> bytes:
    kind = str(scalar.WhichOneof("value"))
    match kind:
        case "union":  # the variant's tag is the SDK's affair: the value decides
            return _digest(kind, _literal(scalar.union.value))
        case "blob":
            return _digest(kind, scalar.blob.uri.encode())
        case "schema" | "structured_dataset":
            return _digest("structured_dataset", getattr(scalar, kind).uri.encode())
        case _:
            return _digest(kind, canonical_bytes(scalar))


def _named(kind: str, items: Mapping[str, bytes]) -> bytes:
    return _digest(kind, *(part for name in sorted(items) for part in (name.encode(), items[name])))


def _digest(kind: str, *parts: bytes) -> bytes:
    """Hash parts so that no two lists of them run together."""
    digest = hashlib.blake2b(digest_size=20, person=b"airscrew.cache")
    for part in (kind.encode(), *parts):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


T = TypeVar("T", CacheEntry, Reservation)


def _decoded(stored: KeyValue | None, kind: type[T]) -> T | None:
    """Read what is stored; bytes that are none count as nothing there."""
    if stored is None:
        return None
    try:
        return msgspec.json.decode(stored.value, type=kind)
    except BAD_JSON:
        return None
