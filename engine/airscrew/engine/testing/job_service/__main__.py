"""
The fake job service as a program, for trying a plugin by hand: ``python -m airscrew.engine.testing.job_service``.
"""

from __future__ import annotations

import argparse
import asyncio

from airscrew.engine.clock import SystemClock
from airscrew.engine.testing.job_service.service import FakeJobService


async def _serve(port: int) -> None:
    service = FakeJobService(clock=SystemClock(), queue_seconds=0.5)
    async with service.serve(port) as address:
        print(f"jobs at {address}/jobs", flush=True)  # noqa: T201 - it is what the program says
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A job service in memory, on this machine alone.")
    parser.add_argument("--port", type=int, default=8080, help="Where it listens (8080); 0 for a free one.")
    asyncio.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
