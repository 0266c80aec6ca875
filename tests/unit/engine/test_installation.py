from __future__ import annotations

from random import Random

import pytest

from airscrew.engine.installation import ensure_installation
from airscrew.idl.errors import UsageError
from airscrew.state import keys
from airscrew.state.errors import SchemaError
from airscrew.state.memory import MemoryStore
from airscrew.state.store import Put
from airscrew.state.transfer import UNFINISHED_KEY


async def test_the_installation_is_drawn_once() -> None:
    store = MemoryStore(now=lambda: 0.0)

    first = await ensure_installation(store, Random(1))

    assert await ensure_installation(store, Random(2)) == first


async def test_a_store_whose_keys_a_newer_version_laid_out_is_left_alone() -> None:
    store = MemoryStore(now=lambda: 0.0)
    await store.txn([], [Put(keys.SCHEMA, b"99")])

    with pytest.raises(SchemaError, match="layout 99"):
        await ensure_installation(store, Random(1))


async def test_a_store_with_an_interrupted_import_is_not_worked_on() -> None:
    store = MemoryStore(now=lambda: 0.0)
    await store.txn([], [Put(UNFINISHED_KEY, b"sum")])

    with pytest.raises(UsageError, match="interrupted"):
        await ensure_installation(store, Random(1))
