"""
An engine that can be killed: starts one attempt of a shell script, writes its state, and does no more.

    python -m tests.integration.process_engine ROOT NAME SCRIPT
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.integration.process_tasks import environment, shell


async def main(root: str, name: str, script: str) -> None:
    async with environment(Path(root)) as opened:
        attempt = opened.attempt(shell(script), name=name)
        await attempt.start()
        assert attempt.raw_state is not None
        sys.stdout.write(attempt.raw_state.decode() + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
