"""
How long the command line takes to begin: `--help`, and an echo template from nothing to its outputs.

Modules are compiled beforehand, as those of an installed distribution are, also where the environment keeps Python from
writing what it has compiled.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from airscrew.engine.bench.rig import echo_template, now

if TYPE_CHECKING:
    from airscrew.engine.bench import BenchOptions

COMMAND = Path(sys.executable).parent / "airscrew"


async def measure(options: BenchOptions) -> dict[str, object]:
    """Measure; see ``airscrew bench startup``."""
    folder = Path(options.directory)
    template = folder / "echo.pb"
    template.write_bytes(echo_template())
    run = ("run", str(template), "--input", "x=3")
    for arguments in (("--help",), run):
        await _time(*arguments, environment=compiled(folder, folder / "first"))
    helps = [await _time("--help", environment=compiled(folder, folder / "none")) for _ in range(options.repeat)]
    runs = [
        await _time(*run, environment=compiled(folder, folder / f"home-{number}")) for number in range(options.repeat)
    ]
    bare = [await _time_python() for _ in range(options.repeat)]
    return {
        "repeat": options.repeat,
        "python_s": round(median(bare), 3),
        "help_s": round(median(helps), 3),
        "help_max_s": round(max(helps), 3),
        "run_echo_s": round(median(runs), 3),
        "run_echo_max_s": round(max(runs), 3),
    }


def compiled(folder: Path, home: Path) -> dict[str, str]:
    """Make the environment of a command that keeps what Python compiles in a folder, and its state in a home."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {"PYTHONPYCACHEPREFIX": str(folder / "compiled"), **kept, "AIRSCREW_HOME": str(home)}


async def _time(*arguments: str, environment: dict[str, str]) -> float:
    return await _time_process(str(COMMAND), *arguments, environment=environment)


async def _time_python() -> float:
    return await _time_process(sys.executable, "-I", "-c", "pass", environment=dict(os.environ))


async def _time_process(*command: str, environment: dict[str, str]) -> float:
    started = now()
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
    output, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {(errors or output).decode()[-500:]}")
    return now() - started
