"""
The conformance suite of the Store port, for whoever implements it.

Each check is a plain coroutine function that raises ``AssertionError`` and says what went wrong. Run them all by
``check_store`` and ``check_leases``, or one by one under pytest, so that each has a name of its own::

    @pytest.mark.parametrize("check", CHECKS, ids=check_id)
    async def test_my_store(check: Check, make_store: MakeStore) -> None:
        await check(make_store)

``make_store`` opens the same store each time it is called; checks close it and open it again. Each check has
keys of its own and takes the store as the checks before left it, but nobody else may write to it meanwhile.

Nothing here MUST import pytest, or know which store it checks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from airscrew.state.testing import cancellation, leases, reads, transactions, watches
from airscrew.state.testing.tools import Check, LeaseCheck, MakeLeaseStore, MakeStore, Sleep

CHECKS: Sequence[Check] = (*transactions.CHECKS, *reads.CHECKS, *watches.CHECKS, *cancellation.CHECKS)
"""What every store keeps: the six guarantees of ``airscrew.state.store``."""

LEASE_CHECKS: Sequence[LeaseCheck] = leases.CHECKS
"""What a ``LeaseStore`` keeps besides."""

__all__ = [
    "CHECKS",
    "LEASE_CHECKS",
    "Check",
    "LeaseCheck",
    "MakeLeaseStore",
    "MakeStore",
    "Sleep",
    "check_id",
    "check_leases",
    "check_store",
]


async def check_store(make_store: MakeStore) -> None:
    """Run all checks of a store; the first that fails raises ``AssertionError``."""
    for check in CHECKS:
        await check(make_store)


async def check_leases(make_store: MakeLeaseStore, sleep: Sleep = asyncio.sleep) -> None:
    """
    Run all checks of a store's leases.

    Args:
        make_store: Opens the store.
        sleep: Lets time pass by the store's clock; the real one by default.
    """
    for check in LEASE_CHECKS:
        await check(make_store, sleep)


def check_id(check: Check | LeaseCheck) -> str:
    """Name a check in a test report."""
    return check.__name__.replace("_", " ")
