"""
The engine is killed at random moments, with real tasks running: nothing is lost, doubled or left over.

``make kills N=300`` does the same for longer, and writes down its figures.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.integration.faults.kills import loop

KILLS = int(os.environ.get("AIRSCREW_TEST_KILLS", "10"))


@pytest.mark.timeout(120 + 30 * KILLS)
@pytest.mark.parametrize("store", ["sqlite", "etcd"])
def test_a_killed_engine_loses_nothing_and_doubles_nothing(tmp_path: Path, store: str) -> None:
    account = loop(store, tmp_path, KILLS, seed=KILLS)

    assert account.kills >= KILLS
    assert account.executions >= KILLS
    assert (account.lost, account.doubled, account.left_over) == ((), (), ())
