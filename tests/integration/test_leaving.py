"""A process that asked an object store ends with the code that it means to, each time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.support.object_stores import ObjectStore

RUNS = 60
PROGRAM = """
import asyncio, sys
from airscrew.engine.data.leaving import leave
from airscrew.engine.data.storage import Storage

async def main():
    async with Storage() as storage:
        await storage.write(sys.argv[1], b"data")
    print("written")

asyncio.run(main())
leave(int(sys.argv[2]))
"""


def test_short_programs_that_write_to_an_object_store_are_not_aborted(
    object_stores: Callable[[str], ObjectStore],
) -> None:
    """With ``sys.exit`` one in five of these is ended by SIGABRT."""
    store = object_stores("s3")

    def run(number: int) -> tuple[int, str]:
        command = [sys.executable, "-c", PROGRAM, f"{store.base}/leaving/{number}", str(number % 3)]
        done = subprocess.run(
            command, env={**os.environ, **store.environ}, capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode - number % 3, done.stdout

    with ThreadPoolExecutor(4) as pool:
        ends = Counter(pool.map(run, range(RUNS)))

    assert ends == {(0, "written\n"): RUNS}
