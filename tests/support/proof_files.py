"""
What the runs that prove something leave behind for ``docs/guarantees.md``: a file of figures each, in ``build/proof``.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "proof"

Figures = Mapping[str, object]


def record(name: str, figures: Figures) -> Path:
    """Write the figures of a run, with its date and machine; the newest run of a name is the one that counts."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = {"name": name, "date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine(), "figures": figures}
    path = FOLDER / f"{name}.json"
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(made, indent=2) + "\n")
    draft.replace(path)
    return path


def machine() -> str:
    """Describe the machine in a line that names nobody."""
    cores = os.cpu_count() or 1
    return f"{platform.system()} {platform.machine()}, {cores} cores, Python {platform.python_version()}"
