"""
Quotas as people see them: read from the store, so that any engine, and none, can tell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress

from airscrew.engine.api.model import QuotaView
from airscrew.engine.quotas.pools import Pools, all_scopes, title
from airscrew.engine.quotas.slots import NOBODY, Slots
from airscrew.state import keys
from airscrew.state.records import Place, RecordError, TokenHolder, decode
from airscrew.state.store import KeyValue, Store, prefix_end

PAGE = 1000


async def read_quotas(store: Store, pools: Pools) -> list[QuotaView]:
    """
    Show every pool, and every share that somebody has units of or waits for.

    Raises:
        StoreUnavailableError: The store does not answer.
    """
    slots, waits = Slots(), defaultdict[str, list[float]](list)
    seen = set(pools.names)
    async for item in _items(store, keys.QUOTA_TOKENS):
        holder = NOBODY
        with suppress(RecordError):
            holder = decode(item.value, TokenHolder)
        with suppress(ValueError):
            token = item.key.removeprefix(keys.QUOTA_TOKENS)
            slots.put(token, holder, item.mod_revision)
            seen.add(token.rpartition("/")[0])
    async for item in _items(store, keys.QUOTA_LINE):
        with suppress(RecordError, ValueError):
            place = decode(item.value, Place)
            if place.aside:
                continue
            namespace = keys.execution_of(item.key).namespace
            for scope in all_scopes(place.pool, namespace, place.project):
                waits[scope].append(place.since)
    seen |= {scope for scope in waits if pools.limit(scope) is not None}
    return [_view(scope, pools, slots, waits[scope]) for scope in sorted(seen)]


def _view(scope: str, pools: Pools, slots: Slots, since: list[float]) -> QuotaView:
    """Show a scope; one that is not limited any more, and is still used, has no limit."""
    pool, name = scope.partition("/")[0], title(scope)
    return QuotaView(
        pool=pool,
        scope=name[len(pool) + 2 : -1] if name != pool else "",
        limit=pools.limit(scope),
        used=slots.used(scope),
        waiting=len(since),
        oldest_wait_since=min(since, default=0.0),
    )


async def _items(store: Store, prefix: str) -> AsyncIterator[KeyValue]:
    start, end = prefix, prefix_end(prefix)
    while True:
        page = await store.range(start, end, limit=PAGE)
        for item in page.items:
            yield item
        if not page.more:
            return
        start = page.next_start
