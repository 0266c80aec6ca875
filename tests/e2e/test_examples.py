"""Everything below examples/ runs, as its text says, and so does the tour that `make run` makes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.user import BIN, PATIENCE, ROOT, User

EXAMPLES = ROOT / "examples"
KNOWN = {"flytekit", "job_service", "tour.py", "connectors"}
"""Connectors are run where their documentation is tested, in tests/sdk."""


def test_every_example_is_run_by_a_test() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.name != "__pycache__"} == KNOWN


@pytest.fixture
def job_service() -> Iterator[str]:
    """Run the example's job service, and give its address."""
    command = [sys.executable, str(EXAMPLES / "job_service" / "server.py"), "--port", "0", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
        server.terminate()
        server.wait(PATIENCE)


def configured(folder: Path, address: str) -> Path:
    text = (EXAMPLES / "job_service" / "config.yaml").read_text()
    path = folder / "config.yaml"
    path.write_text(text.replace("http://127.0.0.1:8099", address))
    return path


def test_the_flytekit_example(user: User) -> None:
    text = (EXAMPLES / "flytekit" / "README.md").read_text()
    assert "hello.py" in text

    hello = user.run("run", EXAMPLES / "flytekit" / "hello.py", "--help").out

    assert "greet" in hello
    assert "divide" in hello


def test_the_job_service_example_as_its_text_tells_it(user: User, tmp_path: Path, job_service: str) -> None:
    config = configured(tmp_path, job_service)
    task = EXAMPLES / "job_service" / "task.yaml"
    inputs = ("--input", "text=to be or not to be", "--input", "seconds=0.6")

    done = user.run("--config", config, "run", task, *inputs, "--show-state", "--name", "words")

    assert sorted(done.out.splitlines()) == ['longest: str = "not"', "words: int = 6"]
    phases = list(dict.fromkeys(re.findall(r"default/words: (\w+)", done.err)))
    assert [phase for phase in phases if phase != "state"] == ["Queued", "Running", "Success"]
    states = [json.loads(text) for text in re.findall(r"default/words: state (.*)", done.err)]
    assert [state["status"] for state in states][-1] == "succeeded"
    assert user.get("words")["custom_state"]["id"] == states[0]["id"]


def test_a_lost_reply_makes_one_job(user: User, tmp_path: Path, job_service: str) -> None:
    config = configured(tmp_path, job_service)
    request = urllib.request.Request(f"{job_service}/faults", data=b'{"lost_reply": 1}', method="PUT")
    urllib.request.urlopen(request, timeout=10).close()
    inputs = ("--input", "text=a", "--input", "seconds=0.1")

    user.run("--config", config, "run", EXAMPLES / "job_service" / "task.yaml", *inputs)

    with urllib.request.urlopen(f"{job_service}/jobs", timeout=10) as answer:
        assert len(json.load(answer)["jobs"]) == 1


def test_a_job_is_adopted_by_the_next_engine_and_cancelled_by_a_kill(
    user: User, tmp_path: Path, job_service: str
) -> None:
    user.variables["AIRSCREW_CONFIG"] = str(configured(tmp_path, job_service))
    inputs = ("--input", "text=a", "--input", "seconds=60")
    engine = user.start("run", EXAMPLES / "job_service" / "task.yaml", *inputs, "--name", "job")
    engine.says(r"default/job: Running")
    engine.kill_hard()

    user.run("kill", "job")

    with urllib.request.urlopen(f"{job_service}/jobs", timeout=10) as answer:
        assert [job["status"] for job in json.load(answer)["jobs"]] == ["cancelled"]
    assert user.get("job")["phase"] == "Aborted"
    assert user.run("leaks").out == "nothing is left outside\n"


def test_the_tour(tmp_path: Path) -> None:
    """The tour of a copy, so that what `make run` has left in this checkout stays as it is."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    kept = {
        name: value for name, value in os.environ.items() if name not in {"AIRSCREW_HOME", "PYTHONDONTWRITEBYTECODE"}
    }
    compiled = str(ROOT / "build" / "compiled")
    done = subprocess.run(
        [sys.executable, "examples/tour.py"],
        cwd=tmp_path,
        env={**kept, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPYCACHEPREFIX": compiled},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    for expected in ('"Hello, Ada! Hello, Ada!"', "words: int = 6", "TASK TYPE"):
        assert expected in done.stdout
    assert "ZeroDivisionError" in done.stderr
    assert '"status":"succeeded"' in done.stderr
    assert done.stdout.count("Success") == 2
