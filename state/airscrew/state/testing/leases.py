"""
Checks of leases.
"""

from __future__ import annotations

from collections.abc import Sequence

from airscrew.state.errors import LeaseOverError
from airscrew.state.store import LeaseStore, Put
from airscrew.state.testing.tools import (
    LeaseCheck,
    MakeLeaseStore,
    Sleep,
    expect,
    expect_equal,
    expect_error,
    history,
    must_get,
    put,
)

LEASE_SECONDS = 2.0
STEP_SECONDS = 0.5
MOST_STEPS = 30
"""How long a lease may outlive its time: a server rounds it up and looks at it seldom."""


async def a_key_goes_with_its_lease(make_store: MakeLeaseStore, sleep: Sleep) -> None:
    """When its time is over and not before; all keys of one lease in one revision, and watches tell."""
    async with make_store() as store:
        lease = await store.grant_lease(LEASE_SECONDS)
        expect(lease != 0, "a lease's id is 0")
        written = await store.txn((), [Put("lease/a", b"1", lease), Put("lease/b", b"1", lease), Put("lease/c", b"1")])
        expect_equal((await must_get(store, "lease/a")).lease, lease, "the lease of a key")
        await sleep(LEASE_SECONDS / 2)
        expect(await store.get("lease/a") is not None, "a key went before its lease ended")

        await _until_gone(store, "lease/a", sleep)

        expect(await store.get("lease/c") is not None, "a key without a lease went")
        events = await history(store, "lease/", written.revision + 1, written.revision + 1)
        expect_equal([(event.key, event.value) for event in events], [("lease/a", None), ("lease/b", None)], "events")
        await expect_error(store.keep_alive(lease), LeaseOverError, "keeping a lease alive that is over")


async def a_lease_kept_alive_lives_on(make_store: MakeLeaseStore, sleep: Sleep) -> None:
    """For as long as it is, and ends after."""
    async with make_store() as store:
        lease = await store.grant_lease(LEASE_SECONDS)
        await store.txn((), [Put("alive/a", b"1", lease)])
        for _ in range(5):
            await sleep(LEASE_SECONDS / 2)
            expect(await store.keep_alive(lease) >= LEASE_SECONDS, "a lease kept alive is shorter than granted")
        expect(await store.get("alive/a") is not None, "a key went though its lease was kept alive")
        await _until_gone(store, "alive/a", sleep)


async def a_revoked_lease_ends_at_once(make_store: MakeLeaseStore, sleep: Sleep) -> None:
    """With its keys, in one revision; other leases live on."""
    async with make_store() as store:
        lease, other = await store.grant_lease(60), await store.grant_lease(60)
        expect(lease != other, "two leases have one id")
        keys = [Put("revoke/a", b"1", lease), Put("revoke/b", b"1", lease), Put("revoke/c", b"1", other)]
        written = await store.txn((), keys)

        await store.revoke_lease(lease)

        found = [await store.get(f"revoke/{name}") is not None for name in "abc"]
        expect_equal(found, [False, False, True], "which keys are left")
        expect_equal((await store.status()).revision, written.revision + 1, "the revision after a lease was revoked")
        await expect_error(store.revoke_lease(lease), LeaseOverError, "revoking a lease twice")
        await store.revoke_lease(other)
    del sleep


async def a_key_follows_its_last_write(make_store: MakeLeaseStore, sleep: Sleep) -> None:
    """Written again without a lease or with another, it does not go with the first."""
    async with make_store() as store:
        first, second = await store.grant_lease(60), await store.grant_lease(60)
        await store.txn((), [Put("follow/a", b"1", first), Put("follow/b", b"1", first)])
        await store.txn((), [Put("follow/a", b"2"), Put("follow/b", b"2", second)])

        await store.revoke_lease(first)

        expect(await store.get("follow/a") is not None, "a key without a lease went with the one it had before")
        expect(await store.get("follow/b") is not None, "a key with a new lease went with the one it had before")
        await store.revoke_lease(second)
        expect(await store.get("follow/b") is None, "a key did not go with its new lease")
    del sleep


async def a_put_with_a_lease_that_is_over_is_refused(make_store: MakeLeaseStore, sleep: Sleep) -> None:
    """As a whole."""
    async with make_store() as store:
        lease = await store.grant_lease(60)
        await store.revoke_lease(lease)
        before = await put(store, ("over/a", b"1"))

        call = store.txn((), [Put("over/a", b"2"), Put("over/b", b"2", lease)])

        await expect_error(call, LeaseOverError, "a put with a lease that is over")
        expect_equal((await must_get(store, "over/a")).value, b"1", "a key of the refused transaction")
        expect_equal((await store.status()).revision, before.revision, "the revision")
    del sleep


async def a_lease_survives_a_restart(make_store: MakeLeaseStore, sleep: Sleep) -> None:
    """With its keys, and still ends."""
    async with make_store() as store:
        lease = await store.grant_lease(LEASE_SECONDS)
        await store.txn((), [Put("survive/a", b"1", lease)])
    async with make_store() as store:
        await store.keep_alive(lease)
        expect_equal((await must_get(store, "survive/a")).lease, lease, "the lease of a key after a restart")
        expect(await store.grant_lease(1) != lease, "a lease's id was used again")
        await _until_gone(store, "survive/a", sleep)


async def _until_gone(store: LeaseStore, key: str, sleep: Sleep) -> None:
    """Let time pass until a key is gone."""
    for _ in range(MOST_STEPS):
        if await store.get(key) is None:
            return
        await sleep(STEP_SECONDS)
    raise AssertionError(f"{key} outlives its lease")


CHECKS: Sequence[LeaseCheck] = (
    a_key_goes_with_its_lease,
    a_lease_kept_alive_lives_on,
    a_revoked_lease_ends_at_once,
    a_key_follows_its_last_write,
    a_put_with_a_lease_that_is_over_is_refused,
    a_lease_survives_a_restart,
)
