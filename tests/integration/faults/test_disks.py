"""
The disk below the engine's home is full, cannot be written, or comes back: real engines, real file systems.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from tests.integration.faults.kills import KillLoop

from airscrew.engine.api.model import ApiError
from airscrew.engine.client import Client

BLOCK = b"x" * 65536


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT TESTED: a file system cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def household(tmp_path: Path) -> Iterator[KillLoop]:
    """An engine's home on a small file system of its own; what the tasks note lies elsewhere."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can mount a small file system")
    one = KillLoop(tmp_path)
    one.home.mkdir()
    mount("-t", "tmpfs", "-o", "size=24m", "tmpfs", str(one.home))
    try:
        yield one
    finally:
        one.clean()
        subprocess.run(["umount", "-l", str(one.home)], check=True)


def submit(household: KillLoop, name: str, kind: str = "plain", *, seed: int = 0) -> None:
    request = household.request(name, kind, Random(seed))
    with Client.connect(home=household.home) as client:
        client.submit(request)
    household.accepted[f"default/{name}"] = kind


def assert_sound(household: KillLoop) -> None:
    views, leaks = household.last_life()
    account = household.account(0, views, leaks, 0.0)
    assert (account.lost, account.doubled, account.left_over) == ((), (), ())


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Leave no byte of room."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            while file.write(BLOCK) == len(BLOCK):
                pass
    except OSError:
        pass
    yield
    ballast.unlink()


def refusal(household: KillLoop) -> str:
    """Submit until that is refused, and return what is said."""
    for number in range(2000):
        try:
            submit(household, f"plain-x{number}")
        except ApiError as error:
            return f"{error.code}: {error}"
    raise AssertionError("submissions were never refused")


def test_on_a_full_disk_submissions_are_refused_and_what_was_accepted_ends(household: KillLoop) -> None:
    with household.engine() as engine:
        household.wait_until_served(engine)
        for number in range(6):
            submit(household, f"plain-{number}", seed=number)

        with full(household.home):
            said = refusal(household)
            time.sleep(1.5)
            assert engine.poll() is None, household.log()

        assert "free some space" in said
        household.insist(lambda _: submit(household, "plain-after"))

    assert_sound(household)


def test_an_engine_killed_on_a_full_disk_goes_on_when_there_is_room(household: KillLoop) -> None:
    with household.engine() as engine:
        household.wait_until_served(engine)
        for number in range(6):
            submit(household, f"plain-{number}", seed=number)
        with full(household.home):
            refusal(household)
            engine.kill()
            engine.wait()

    assert_sound(household)


def test_a_disk_that_cannot_be_written_is_named_and_left_when_it_can(household: KillLoop) -> None:
    with household.engine() as engine:
        household.wait_until_served(engine)
        submit(household, "plain-before", seed=3)
    time.sleep(1.0)
    mount("-o", "remount,ro", str(household.home))

    with household.engine() as engine:
        code = engine.wait(30)

    assert code not in {0, None}
    lines = household.log().splitlines()
    assert lines[-1].startswith("airscrew: error: "), lines
    assert str(household.home) in lines[-1]
    assert "Traceback" not in household.log()
    mount("-o", "remount,rw", str(household.home))
    assert_sound(household)
