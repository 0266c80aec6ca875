"""
The task of the page on Slurm runs on a real cluster by the page's command.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import yaml
from tests.integration.slurm.slurm_kit import local_config
from tests.support.slurm import Slurm

PAGE = (Path(__file__).parents[3] / "docs" / "slurm.md").read_text()


def test_the_page_s_task_runs_by_the_page_s_command(slurm: Slurm, tmp_path: Path) -> None:
    (task,) = re.findall(r"^```yml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (command,) = re.findall(r"^    airscrew (.*)$", PAGE, re.MULTILINE)
    clusters = {"local": local_config(slurm)}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"executors": {"slurm": {"clusters": clusters}}}))
    (tmp_path / "hello.yaml").write_text(task)

    done = subprocess.run(
        [sys.executable, "-m", "airscrew.engine.cli", "--home", str(tmp_path / "home"), *shlex.split(command)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    said = [path.read_text() for path in slurm.folder.glob("slurm-*.out")]
    assert any(text.startswith("hello from ") for text in said)
