"""Writes the templates of ``seed4_snowflake``; run in the environment that has flytekit's plugin for Snowflake."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "blocks"), str(HERE.parent / "sdk")]


def main(folder: Path) -> None:
    import harness

    block = harness.load("seed4_snowflake")
    for name in ("query_task", "process"):
        (folder / f"{name}.pb").write_bytes(harness.serialize(getattr(block, name)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
