"""
What is published: a wheel and a source archive with our four portions, which work with the base dependencies alone.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.packaging.tree import GENERATED, PARTS, ROOT, clean_environment, normal, run

# What `pip install airscrew` brings along, all of it. A name more here is a price that every user pays: think first.
CLOSURE = {
    "cachetools",
    "click",
    "flyteidl",
    "obstore",
    "googleapis-common-protos",  # of flyteidl
    "grpcio",
    "msgspec",
    "protobuf",
    "protoc-gen-openapiv2",  # of flyteidl
    "pyyaml",
    "tenacity",
    "typing-extensions",
}

ECHO = """\
type: echo
id: {name: hello}
interface:
  inputs: {variables: {x: {type: {simple: INTEGER}}}}
  outputs: {variables: {x: {type: {simple: INTEGER}}}}
"""


@dataclass(frozen=True)
class Installed:
    """A fresh environment that holds the wheel and what it asks for, and nothing else."""

    folder: Path
    home: Path

    def run(self, *arguments: object) -> tuple[int, str, str]:
        airscrew = self.folder / "bin" / "airscrew"
        environment = {name: value for name, value in os.environ.items() if name.startswith("AIRSCREW_")}
        assert environment == {}, "the user's own settings would be tested"
        done = run(airscrew, *arguments, cwd=self.home, timeout=60, AIRSCREW_HOME=str(self.home / "state"))
        return done.returncode, done.stdout, done.stderr


def uv(*words: object) -> None:
    """Run uv with what `make setup` has left in its cache, and with the configured index when that is not enough."""
    done = run("uv", *words, "--offline")
    if done.returncode:
        done = run("uv", *words)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("dist")
    uv("build", "-q", "-o", output, ROOT)
    return output


@pytest.fixture(scope="module")
def base_lock() -> str:
    done = run("uv", "export", "-q", "--frozen", "--no-emit-project", "--no-dev", "--no-hashes", "--no-annotate")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(built: Path, base_lock: str, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("venv")
    home = tmp_path_factory.mktemp("home")
    (folder / "locked.txt").write_text(base_lock)
    (wheel,) = built.glob("*.whl")
    uv("venv", "-q", "--allow-existing", "--python", sys.executable, folder)
    uv("pip", "install", "-q", "--python", folder / "bin/python", "-c", folder / "locked.txt", wheel)
    return Installed(folder, home)


def sources() -> set[str]:
    """The files of ours that have to be in what is published, by their names below the portions."""
    return {
        str(path.relative_to(ROOT / part))
        for part in PARTS
        for path in (ROOT / part / "airscrew").rglob("*")
        if path.suffix in {".py", ".pyi", ".tmpl"} or path.name == "py.typed"
    }


def test_the_wheel_holds_all_modules_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")

    names = set(zipfile.ZipFile(wheel).namelist())

    own = {name for name in names if not re.match(r"airscrew-[^/]+\.dist-info/", name)}
    assert own == sources()
    assert any(GENERATED.search(name) for name in own)


def test_the_wheel_tells_licence_entry_points_and_extras(built: Path) -> None:
    (wheel,) = built.glob("*.whl")

    with zipfile.ZipFile(wheel) as archive:
        told = {
            name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name
        }

    assert {"METADATA", "WHEEL", "entry_points.txt", "licenses/LICENSE"} <= set(told)
    assert "airscrew = airscrew.engine.cli:main" in told["entry_points.txt"]
    assert "[airscrew.executors]" in told["entry_points.txt"]
    assert "Provides-Extra: flytekit" in told["METADATA"]


def test_the_source_archive_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()

    uv("build", "-q", "--wheel", "-o", tmp_path / "again", unpacked)

    (again,) = (tmp_path / "again").glob("*.whl")
    (first,) = built.glob("*.whl")
    assert set(zipfile.ZipFile(again).namelist()) == set(zipfile.ZipFile(first).namelist())


def test_the_base_dependencies_bring_few_others(base_lock: str) -> None:
    locked = {normal(line) for line in base_lock.splitlines() if re.match(r"\w", line) and "win32" not in line}

    assert locked == CLOSURE


def test_what_is_installed_is_the_base_closure(installed: Installed) -> None:
    done = run("uv", "pip", "list", "--format", "json", "--python", installed.folder / "bin/python")

    names = {normal(one["name"]) for one in json.loads(done.stdout)}

    assert names == {*CLOSURE, "airscrew"}


def test_the_installed_command_tells_its_version(installed: Installed) -> None:
    code, out, err = installed.run("version")

    assert (code, err) == (0, "")
    assert re.search(r"\d+\.\d+\.\d+", out)


def test_every_command_has_help_without_extras(installed: Installed) -> None:
    _, out, _ = installed.run("--help")
    commands = re.findall(r"^  ([a-z]+) {2,}\w", out, re.MULTILINE)

    codes = {command: installed.run(command, "--help")[0] for command in commands}

    assert len(codes) >= 15
    assert set(codes.values()) == {0}


def test_an_echo_template_runs_without_extras(installed: Installed) -> None:
    template = installed.home / "echo.yaml"
    template.write_text(ECHO)

    code, out, err = installed.run("run", template, "--input", "x=3")

    assert (code, out.strip()) == (0, "x: int = 3"), err


def test_a_new_plugin_is_made_of_the_templates_in_the_wheel(installed: Installed) -> None:
    code, _, err = installed.run("plugin", "new", "wheel-made", "--kind", "complex")

    assert (code, err) == (0, "airscrew: wheel-made is written; its README.md says what follows\n")
    assert "class WheelMadeExecutor" in (installed.home / "wheel-made/src/wheel_made/executor.py").read_text()


def test_a_source_without_its_sdk_names_the_extra(installed: Installed) -> None:
    source = installed.home / "flow.py"
    source.write_text("from flytekit import task\n\n\n@task\ndef hello() -> None: ...\n")

    code, out, err = installed.run("run", source, "hello")

    assert (code, out) == (2, "")
    assert "pip install" in err
    assert "airscrew[flytekit]" in err


def test_missing_extras_are_told_and_break_nothing(installed: Installed) -> None:
    code, out, _ = installed.run("plugins")

    assert code == 0
    assert "echo" in out
    assert "http_job" in out


def test_the_portions_are_one_namespace(installed: Installed) -> None:
    done = run(
        installed.folder / "bin/python",
        "-c",
        "import airscrew.engine, airscrew.plugins, airscrew.state, airscrew.idl; print(airscrew.__file__)",
        cwd=installed.home,
    )

    assert done.stdout.strip() == "None", done.stderr


def test_the_environment_of_these_tests_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "engine:plugins")

    assert "PYTHONPATH" not in clean_environment()
