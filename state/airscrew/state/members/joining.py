"""
Coming and going as a member.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from airscrew.state.beside import running_beside
from airscrew.state.members.membership import Membership
from airscrew.state.members.nouns import Member
from airscrew.state.members.registration import Registration
from airscrew.state.store import LeaseStore

LEASE_SECONDS = 15.0


@asynccontextmanager
async def join(
    store: LeaseStore,
    me: Member,
    *,
    monotonic: Callable[[], float],
    now: Callable[[], float],
    seconds: float = LEASE_SECONDS,
) -> AsyncIterator[Membership]:
    """
    Be a member until the block ends; it gets a share when ``Membership.begin`` is called.

    Args:
        store: The store.
        me: Who comes; its id must be new.
        monotonic: Seconds that never go back.
        now: The wall time, until the engine has its own.
        seconds: How long others wait for a member that is not heard of.

    Raises:
        StoreBusyError: An engine has the store for itself.
        StoreUnavailableError: The store does not answer.
    """
    registration = Registration(store, me, seconds=seconds, monotonic=monotonic, now=now)
    membership = Membership(store, registration, monotonic)
    try:
        await registration.begin()
        await membership.refresh()
        await membership.sweep_gone()
        keep = registration.keep(membership.refresh)
        async with running_beside(
            lease=keep, members=membership.follow(), member_time=membership.tell_time()
        ) as beside:
            membership.use(beside)
            yield membership
    finally:
        await registration.end()
