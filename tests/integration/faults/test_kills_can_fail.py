"""
The accounts of the kill loop show what was lost, doubled or left over.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.integration.faults.kills import PLACE_MARKER, Account, KillLoop

from airscrew.engine.api.model import ExecutionView
from airscrew.idl.phase import Phase


def view(name: str, key: str, **changes: object) -> ExecutionView:
    whole = {"uid": "u", "task_type": "container", "phase": Phase.SUCCESS, "key": key, **changes}
    return ExecutionView(execution=f"default/{name}", **whole)  # type: ignore[arg-type]


def account(household: KillLoop, *views: ExecutionView, ran: str) -> Account:
    household.ran.write_text(ran)
    household.accepted = {"default/plain-0": "plain"}
    return household.account(1, {one.execution: one for one in views}, [], 1.0)


@pytest.fixture
def household(tmp_path: Path) -> KillLoop:
    return KillLoop(tmp_path)


def test_a_task_that_ran_once_is_sound(household: KillLoop) -> None:
    assert account(household, view("plain-0", "k"), ran="k\n").sound


@pytest.mark.parametrize(
    ("views", "ran"),
    [
        ([], ""),
        ([view("plain-0", "k", phase=Phase.RUNNING)], "k\n"),
        ([view("plain-0", "k")], ""),
    ],
    ids=["forgotten", "not over", "never ran"],
)
def test_what_is_lost_is_told(household: KillLoop, views: list[ExecutionView], ran: str) -> None:
    assert account(household, *views, ran=ran).lost


@pytest.mark.parametrize(
    ("attempt", "ran"), [(0, "k\nk\n"), (1, "j\nk\n")], ids=["one attempt twice", "one attempt too many"]
)
def test_what_is_doubled_is_told(household: KillLoop, attempt: int, ran: str) -> None:
    assert account(household, view("plain-0", "k", attempt=attempt), ran=ran).doubled


def test_a_process_that_is_left_over_is_told(household: KillLoop) -> None:
    marked = {**os.environ, PLACE_MARKER: str(household.home / "work" / "k")}
    left = subprocess.Popen(["sleep", "60"], env=marked)
    try:
        assert account(household, view("plain-0", "k"), ran="k\n").left_over == (f"process {left.pid}",)
    finally:
        left.kill()
        left.wait()
