"""
The command line: ``airscrew``.

Each command is a module of its own below ``commands``, imported when it is used; ``root`` knows their names. Commands
hold an ``EngineApi`` and nothing else of the engine, got by ``session``. stdout is for results, stderr for everything
else. Nothing on the way of ``airscrew --help`` MUST import asyncio, grpc, protobuf or yaml.
"""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the command line and exit."""
    from airscrew.engine.cli.root import run

    # gRPC writes to stderr by itself, many lines for one cause; what goes wrong with it is ours to say, in one.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

    code = run(sys.argv[1:])
    gc.freeze()  # nobody needs the search for cycles at the end: it would take a tenth of a short run
    if "obstore" in sys.modules:
        from airscrew.engine.data.leaving import leave

        leave(code)
    sys.exit(code)
