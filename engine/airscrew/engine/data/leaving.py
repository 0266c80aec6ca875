"""
How a process ends that has asked object stores.

Their library has threads of its own, which may still be on their way back to Python when the interpreter is taken
down; it then aborts the process, which had done all it was to do, with a signal. One in five short programs ended so.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """
    End this process; after object stores were asked, without taking the interpreter down.

    Args:
        code: What is left to the caller.
    """
    if "obstore" not in sys.modules:
        sys.exit(code)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
