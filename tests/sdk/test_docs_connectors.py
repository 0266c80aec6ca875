"""
The page on connectors: its example runs both ways, and gives the same.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml
from connector_kit import BIN, flytekit_server, free_port, served

from airscrew.plugins.connector.config import Config, read_config

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "connectors"
PAGE = (ROOT / "docs" / "connectors.md").read_text()


def run(config: Path, home: Path) -> str:
    command = [str(BIN / "airscrew"), "--home", str(home), "--config", str(config)]
    command += ["run", "examples/connectors/task.yaml", "--input", "text=hello"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_gives_the_same_in_process_and_over_grpc(tmp_path: Path) -> None:
    port = free_port()
    remote = tmp_path / "remote.yaml"
    remote.write_text((EXAMPLE / "remote.yaml").read_text().replace("localhost:8000", f"localhost:{port}"))

    inside = run(EXAMPLE / "in-process.yaml", tmp_path / "inside")
    with served(flytekit_server(port, "nap"), port, tmp_path, path=EXAMPLE):
        outside = run(remote, tmp_path / "outside")

    assert inside == outside == 'said: str = "HELLO"\n'


def test_the_page_shows_the_example_as_it_is() -> None:
    shown = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    assert shown[0] in (EXAMPLE / "nap.py").read_text()
    assert len([line for line in shown[0].splitlines() if line.strip()]) <= 21


def test_the_settings_that_the_page_shows_are_read() -> None:
    shown = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    assert read_config(yaml.safe_load(shown[0])["executors"]["connector"]).services.keys() == {
        "bigquery",
        "own",
        "flyte2",
    }


def test_the_page_names_every_setting() -> None:
    from airscrew.plugins.connector.config import Service

    told = set(re.findall(r"`([a-z_0-9]+)`", PAGE))

    assert {*Service.__struct_fields__, *Config.__struct_fields__} - {"services"} <= told
