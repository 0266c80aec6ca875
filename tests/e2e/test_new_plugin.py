"""
A new plugin, from its first line to its second version, by somebody with an environment of their own.

The page that tells how is carried out as it stands: what it prints in ``sh`` blocks is what is run.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.user import BIN, ROOT, User, until
from tests.support.programs import Program

from airscrew.engine.scaffold import Kind

PAGE = ROOT / "docs" / "new-plugin.md"
SH = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATIENCE = 300.0


@dataclass
class Author(User):
    """A user who writes plugins: what they install goes to an environment of theirs."""

    @property
    def python(self) -> Path:
        return self.tools / "python"

    def sh(self, line: str, folder: Path, code: int = 0) -> str:
        """Type a line at a prompt in a folder."""
        done = subprocess.run(
            shlex.split(line),
            cwd=folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, f"{line} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def install(self, *names: str) -> None:
        for name in names:
            self.sh("pip install .", self.folder / name)


@pytest.fixture
def author(tmp_path: Path) -> Iterator[Author]:
    """Somebody with a fresh environment that sees what this one has."""
    place = tmp_path / "venv"
    venv.create(place, with_pip=False)
    (site,) = place.glob("lib/python3*/site-packages")
    (ours,) = BIN.parent.glob("lib/python3*/site-packages")
    (site / "ours.pth").write_text(f"import site; site.addsitedir({str(ours)!r})\n")
    tools = place / "bin"
    modules = {"airscrew": "airscrew.engine.cli", "pytest": "pytest", "mypy": "mypy"}
    words = {name: f'exec "{tools}/python" -m {module} "$@"' for name, module in modules.items()}
    words["ruff"] = f'"{BIN}/ruff" "$@"'
    # What is cached comes before the index.
    install = f'"{BIN}/uv" pip install -q --no-deps --python "{tools}/python"'
    words["pip"] = f'{install} --offline "$2" || {install} "$2"'
    for name, command in words.items():
        (tools / name).write_text(f"#!/bin/sh\n{command}\n")
        (tools / name).chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    variables = {"PATH": path, "MYPY_CACHE_DIR": str(tmp_path / "mypy"), "RUFF_NO_CACHE": "true"}
    someone = Author(tmp_path, variables=variables, tools=tools)
    try:
        yield someone
    finally:
        someone.leave()


def blocks() -> list[list[str]]:
    return [block.splitlines() for block in SH.findall(PAGE.read_text("utf8"))]


def carry_out(author: Author, folder: Path, lines: list[str]) -> tuple[Path, str]:
    """Type some lines; returns the folder that one is in then, and what was printed."""
    said = ""
    for line in lines:
        if line.startswith("cd "):
            folder = folder / line.removeprefix("cd ")
        else:
            said += author.sh(line, folder)
    return folder, said


def test_the_page_is_carried_out_from_its_first_line_to_its_last(author: Author) -> None:
    write, test, load, renew, finish = blocks()
    engine = author.serve()
    folder, _ = carry_out(author, author.folder, write)
    carry_out(author, folder, test)
    assert "no executor takes task type 'arrival'" in unknown(author, folder)

    _, loaded = carry_out(author, folder, load)
    assert "arrival 0.1.0: loaded, serves arrival" in loaded
    until(lambda: author.get("default/first")["phase"] == "Running", "the start of the task")
    before = author.get("default/first")
    _, renewed = carry_out(author, folder, renew)
    assert "arrival 0.1.0 is loaded and 0.2.0 is installed: restart the engine, it adopts all that runs" in renewed
    engine.signal(signal.SIGTERM)
    assert engine.wait().code == 0
    author.serve()
    _, finished = carry_out(author, folder, finish)

    assert re.search(r"arrival +arrival +NoEffect +\d+ +0\.2\.0 +ready", finished)
    over = author.is_over("default/first")
    assert (over["phase"], over["uid"], over["key"]) == ("Success", before["uid"], before["key"])
    assert over.get("attempt", 0) == 0


def unknown(author: Author, folder: Path) -> str:
    """Try to run a task that the engine has never heard of; its plugin is on the path of the command alone."""
    author.variables["PYTHONPATH"] = str(folder / "src")
    try:
        return author.sh("airscrew run example.py wait", folder, code=2)
    finally:
        del author.variables["PYTHONPATH"]


@pytest.mark.parametrize("idl", ["", "--idl"], ids=["struct", "idl"])
@pytest.mark.parametrize("kind", [kind.value for kind in Kind])
def test_what_is_written_passes_its_own_checks(author: Author, kind: str, idl: str) -> None:
    author.sh(f"airscrew plugin new fresh-one --kind {kind} {idl}", author.folder)
    folder = author.folder / "fresh-one"

    passed = author.sh("pytest -q", folder)
    author.sh("ruff check", folder)
    author.sh("ruff format --check", folder)
    typed = author.sh("mypy", folder)

    assert int(re.findall(r"(\d+) passed", passed)[0]) >= 12
    assert "failed" not in passed
    assert "Success: no issues found" in typed


def test_calls_and_jobs_of_new_plugins_run_in_an_engine_that_knew_nothing_of_them(author: Author) -> None:
    service = Program(
        [sys.executable, "-m", "airscrew.engine.testing.job_service", "--port", "0"], author.folder / "log"
    )
    service.start()
    try:
        told = until(lambda: re.search(r"jobs at (\S+)/jobs", service.log.read_text()), "the address of the service")
        (author.folder / "airscrew.yaml").write_text(f"executors:\n  crunch: {{url: '{told[1]}'}}\n")
        author.variables["AIRSCREW_CONFIG"] = str(author.folder / "airscrew.yaml")
        author.serve()
        author.sh("airscrew plugin new greet --kind sync --idl", author.folder)
        author.sh("airscrew plugin new crunch --kind webapi --idl", author.folder)
        author.install("greet", "crunch")

        loaded = author.sh("airscrew plugins load", author.folder)
        greeting = author.sh("airscrew run example.py hello --text Ada", author.folder / "greet")
        author.sh("airscrew run --name crunched example.py job", author.folder / "crunch")
        again = author.sh("airscrew plugins load", author.folder)
    finally:
        service.stop()

    assert "crunch 0.1.0: loaded, serves crunch\ngreet 0.1.0: loaded, serves greet\n" in loaded
    assert "Hello, Ada!" in greeting
    assert author.get("default/crunched")["phase"] == "Success"
    assert "nothing new is installed" in again


def test_a_plugin_that_takes_what_another_takes_is_refused_with_the_key_to_set(author: Author) -> None:
    author.serve()
    for name in ("one", "two"):
        author.sh(f"airscrew plugin new {name} --kind complex", author.folder)
        source = author.folder / name / "src" / name / "executor.py"
        source.write_text(source.read_text().replace(f'task_types = ("{name}",)', 'task_types = ("shared",)'))
    author.install("one")
    author.sh("airscrew plugins load", author.folder)
    author.install("two")

    refused = author.sh("airscrew plugins load", author.folder, code=2)

    assert "task type 'shared' is taken by one, two: set default_for_task_types.shared to one of them" in refused
    assert [one["id"] for one in author.json("plugins") if one["id"] in {"one", "two"}] == ["one"]
