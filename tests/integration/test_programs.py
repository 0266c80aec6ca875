"""
Programs beside the tests end with them, however hard those are killed, and so do the daemons that they begin.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.programs import Program, die_with_us

BOUND = 20.0
DAEMON = "setsid sleep {mark} & exec sleep {mark}"
TESTS = """
import sys, time
from pathlib import Path
from tests.support.programs import Program
Program(["sh", "-c", sys.argv[1]], Path(sys.argv[2]), is_family=True).start()
print("ready", flush=True)
time.sleep(100)
"""


@pytest.fixture
def mark() -> str:
    """A number of seconds by which this test's processes are known."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("NO FAMILIES OF PROCESSES: it takes root and unshare")
    return f"{os.getpid()}.{time.monotonic_ns() % 10**9}"


def count(mark: str) -> int:
    """Count the sleepers."""
    found = 0
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += each.read_bytes() == f"sleep\0{mark}\0".encode()
        except OSError:
            continue  # it has ended meanwhile
    return found


def wait_for(number: int, mark: str) -> None:
    until = time.monotonic() + BOUND
    while (now := count(mark)) != number:
        assert time.monotonic() < until, f"there are {now}, not {number}"
        time.sleep(0.01)


def test_a_daemon_of_a_program_ends_with_tests_that_are_killed(mark: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TESTS, DAEMON.format(mark=mark), str(tmp_path / "log")]
    with subprocess.Popen([*die_with_us(), *command], stdout=subprocess.PIPE, cwd=Path.cwd()) as tests:
        assert tests.stdout is not None
        assert tests.stdout.readline() == b"ready\n"
        wait_for(2, mark)

        tests.kill()

        wait_for(0, mark)


def test_a_daemon_of_a_program_ends_when_that_is_stopped(mark: str, tmp_path: Path) -> None:
    program = Program(["sh", "-c", DAEMON.format(mark=mark)], tmp_path / "log", is_family=True)
    program.start()
    wait_for(2, mark)

    program.stop()

    wait_for(0, mark)
