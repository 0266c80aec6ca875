"""
What a store is to an engine: new, laid out as this version knows it, or not to be touched.

Guarantees: of several engines that make a new store theirs at once all find the same installation; one whose keys a
newer version laid out, and one into which an import was interrupted, are left as they are.
"""

from __future__ import annotations

from random import Random

from airscrew.idl.errors import UsageError
from airscrew.state import keys
from airscrew.state.errors import SchemaError
from airscrew.state.store import Compare, Put, Store
from airscrew.state.transfer import UNFINISHED_KEY


async def ensure_installation(store: Store, random: Random) -> str:
    """
    Check that the store is ours to work on, and return the installation's UID, drawn once, when the store is new.

    Raises:
        SchemaError: Its keys were laid out by a newer version.
        UsageError: An import into it was interrupted.
    """
    await _check_layout(store)
    found = await store.get(keys.INSTALLATION)
    if found is not None:
        return found.value.decode()
    uid = f"{random.getrandbits(128):032x}"
    layout = Put(keys.SCHEMA, str(keys.LAYOUT_VERSION).encode())
    result = await store.txn([Compare(keys.INSTALLATION, 0)], [Put(keys.INSTALLATION, uid.encode()), layout])
    return uid if result.succeeded else await ensure_installation(store, random)


async def _check_layout(store: Store) -> None:
    if await store.get(UNFINISHED_KEY) is not None:
        raise UsageError("an import into this store was interrupted: run `airscrew state import` with that file again")
    found = await store.get(keys.SCHEMA)
    if found is not None and int(found.value) > keys.LAYOUT_VERSION:
        raise SchemaError(
            f"the store's keys have layout {found.value.decode()} and this airscrew knows {keys.LAYOUT_VERSION}: "
            "use the newer airscrew that wrote it"
        )
