"""
The engine has no file descriptor left: it waits, loses nothing, and goes on when there are some.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from tests.integration.faults.kills import KillLoop

from airscrew.engine.api.model import ApiError
from airscrew.engine.client import Client


@contextmanager
def no_descriptor_left(pid: int) -> Iterator[None]:
    """Take a process's room for more files than it has open now."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_an_engine_without_descriptors_loses_nothing(tmp_path: Path) -> None:
    household = KillLoop(tmp_path)
    requests = [household.request(f"plain-{number}", "plain", Random(number)) for number in range(12)]
    try:
        with household.engine() as engine:
            household.wait_until_served(engine)
            with Client.connect(home=household.home) as client:
                client.submit(requests[0])
                time.sleep(0.2)
                with no_descriptor_left(engine.pid):
                    for request in requests:
                        with suppress(ApiError):  # refused with the reason; it is asked for again below
                            client.submit(request)
                    time.sleep(1.5)
                    assert engine.poll() is None, household.log()
                for request in requests:
                    client.submit(request)
                    household.accepted[f"default/{request.name}"] = "plain"
                end = time.monotonic() + 60
                while any(not view.is_over for view in client.list()) and time.monotonic() < end:
                    time.sleep(0.1)

        views, leaks = household.last_life()

        account = household.account(0, views, leaks, 0.0)
        assert account.executions == 12
        assert (account.lost, account.doubled, account.left_over) == ((), (), ())
    finally:
        household.clean()
