"""Bad input gets one line on stderr that says what to do, exit code 2, and leaves nothing in the store."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.tasks import Gate, container, echo, interface, write
from tests.e2e.user import User

from airscrew.idl.ids import ExecutionId
from airscrew.state.keys import record_key


@pytest.fixture
def known(user: User) -> Iterator[User]:
    """A user whose store must be as empty after the test as it was before."""
    yield user
    assert user.list() == []
    assert user.processes() == []


def test_bytes_that_are_no_template(known: User, tmp_path: Path) -> None:
    rng = random.Random(1)
    for number, size in enumerate((0, 1, 7, 300, 5000)):
        path = tmp_path / f"noise{number}.pb"
        path.write_bytes(rng.randbytes(size))

        assert path.name in known.run("run", path, code=2).error


def test_a_template_that_was_cut_short(known: User, tmp_path: Path) -> None:
    path = echo(tmp_path / "cut.json", {"x": "INTEGER"})
    path.write_text(path.read_text()[:-20])

    assert "cut.json" in known.run("run", path, code=2).error


def test_json_that_is_no_template(known: User, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"kind": "Pod", "metadata": {"name": "x"}}')

    assert "other.json" in known.run("run", tmp_path / "other.json", code=2).error


def test_an_unknown_task_type_names_the_nearest(known: User, tmp_path: Path) -> None:
    template = write(tmp_path / "t.json", type="core-slep", interface=interface({}, {}))

    assert "did you mean 'core-sleep'?" in known.run("run", template, code=2).error


def test_a_missing_input_is_named_with_its_type(known: User, tmp_path: Path) -> None:
    error = known.run("run", echo(tmp_path / "e.json", {"x": "INTEGER"}), code=2).error

    assert error == "input x is missing: expected int"


def test_an_input_of_another_type_is_named_with_both_types(known: User, tmp_path: Path) -> None:
    template = echo(tmp_path / "e.json", {"x": "INTEGER"})

    error = known.run("run", template, "--input", "x=three", code=2).error

    assert error == "x: expected int, got 'three' (str)"


def test_inputs_of_another_type_in_a_file(known: User, tmp_path: Path) -> None:
    template = echo(tmp_path / "e.json", {"x": "INTEGER"})
    (tmp_path / "in.json").write_text('{"x": "three"}')

    error = known.run("run", template, "--inputs", tmp_path / "in.json", code=2).error

    assert error == "x: expected int, got 'three' (str)"


def test_an_input_that_there_is_not(known: User, tmp_path: Path) -> None:
    template = echo(tmp_path / "e.json", {"number": "INTEGER"})

    assert "did you mean 'number'?" in known.run("run", template, "--input", "numbr=3", code=2).error


def test_an_input_uri_that_cannot_be_read(known: User, tmp_path: Path) -> None:
    template = echo(tmp_path / "e.json", {"x": "INTEGER"})

    error = known.run("run", template, "--inputs", f"file://{tmp_path}/nowhere.pb", code=2).error

    assert "nowhere.pb" in error


def test_a_template_over_the_limit(known: User, tmp_path: Path) -> None:
    template = echo(tmp_path / "big.json", {"x": "INTEGER"}, custom={"fill": "x" * (40 << 20)})

    error = known.run("run", template, "--input", "x=3", code=2).error

    assert "limit" in error or "more than" in error


def test_an_unknown_template_variable(known: User, tmp_path: Path) -> None:
    template = container(tmp_path / "c.json", ["echo", "{{.outputPrefx}}"])

    assert "outputPrefx" in known.run("run", template, code=2).error


def test_a_task_that_a_source_does_not_have(known: User, tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text("from flytekit import task\n@task\ndef greet() -> str:\n    return ''\n")

    assert "greet" in known.run("run", tmp_path / "flow.py", "gret", code=2).error


def test_a_source_that_does_not_import(known: User, tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text("import no_such_module\n")

    assert "no_such_module" in known.run("run", tmp_path / "flow.py", "greet", code=2).error


IMPOSSIBLE = [
    ("--timeout", "soon"),
    ("--timeout", "never=3s"),
    ("--label", "novalue"),
    ("--name", "Not A Name"),
    ("--executor", "nobody"),
    ("--retries", "-1"),
    ("--output-prefix", "nosuchscheme://bucket/x"),
]


def test_options_that_cannot_be(known: User, tmp_path: Path) -> None:
    template = echo(tmp_path / "e.json")

    for words in IMPOSSIBLE:
        assert known.run("run", template, *words, code=2).error, words


def test_a_configuration_that_cannot_be_names_the_key(known: User, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("retnetion: {keep: 3}\n")

    error = known.run("--config", tmp_path / "config.yaml", "run", echo(tmp_path / "e.json"), code=2).error

    assert "retnetion" in error


def test_one_name_for_two_requests(user: User, tmp_path: Path) -> None:
    template = echo(tmp_path / "e.json", {"x": "INTEGER"})
    user.run("run", template, "--input", "x=3", "--name", "one")

    again = user.run("run", template, "--input", "x=3", "--name", "one")
    other = user.run("run", template, "--input", "x=4", "--name", "one", code=2)

    assert again.out == "o0: int = 3\n"
    assert "there is another execution default/one" in other.error
    assert len(user.list()) == 1


# ---- the store


def test_a_store_of_a_newer_schema_is_left_alone(user: User, tmp_path: Path) -> None:
    template = echo(tmp_path / "e.json")
    user.run("run", template, "--name", "one")
    store = user.home / "state.db"
    with sqlite3.connect(store) as file:
        version = file.execute("PRAGMA user_version").fetchone()[0]
        file.execute(f"PRAGMA user_version = {version + 1}")
    file.close()
    before = store.read_bytes()

    error = user.run("run", template, code=2).error

    assert f"schema version {version + 1}" in error
    assert "run a newer airscrew" in error
    assert store.read_bytes() == before
    doctor = user.run("doctor", code=3)
    assert "run a newer airscrew" in doctor.out


def test_a_file_of_another_program_is_left_alone(user: User, tmp_path: Path) -> None:
    user.home.mkdir(mode=0o700)
    with sqlite3.connect(user.home / "state.db") as file:
        file.execute("CREATE TABLE mine (x)")
    file.close()

    done = user.run("run", echo(tmp_path / "e.json"), code=None)

    assert done.code in {2, 3}
    assert "another program" in done.error


def edit_state(user: User, name: str, state: object) -> None:
    """Put another custom state into a record, as a broken plugin or a hand would."""
    with sqlite3.connect(user.home / "state.db") as file:
        key = record_key(ExecutionId.parse(name, "default"))
        row, value = file.execute("SELECT id, value FROM log WHERE key = ? ORDER BY id DESC LIMIT 1", (key,)).fetchone()
        record = json.loads(value)
        record["state"] = state
        file.execute("UPDATE log SET value = ? WHERE id = ?", (json.dumps(record).encode(), row))
    file.close()


def test_custom_state_that_no_longer_decodes_quarantines_that_execution_alone(user: User, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    gates = {name: Gate(tmp_path / name) for name in ("a", "b")}
    engine = user.serve()
    for name, gate in gates.items():
        user.run("run", gate.template(), "--name", name, "--detach")
        gate.has_begun()
    engine.kill_hard()
    edit_state(user, "a", {"nonsense": True})

    serving = user.serve()
    gates["b"].open()

    assert user.is_over("b")["phase"] == "Success"
    view = user.get("a")
    assert "state" in view["quarantined"]
    os.kill(gates["a"].runs()[0], 0)
    assert "(quarantined)" in user.run("list").out
    ran = user.run("run", echo(tmp_path / "e.json", {"x": "INTEGER"}), "--input", "x=3")
    assert ran.out == "o0: int = 3\n"
    gates["a"].open()
    serving.signal(signal.SIGTERM)
    serving.wait()


# ---- a full disk


@pytest.fixture
def small_disk(user: User) -> Iterator[Path]:
    """Put the home on a file system of 6 MB."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can mount a small file system to fill it")
    user.home.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs", str(user.home)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"NOT TESTED: a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield user.home
    finally:
        user.leave()
        subprocess.run(["umount", str(user.home)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room that is left."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4096)):
                pass
        except OSError:
            pass
    return path


def test_a_full_disk_accepts_nothing_and_loses_nothing(user: User, tmp_path: Path, small_disk: Path) -> None:
    template = echo(tmp_path / "e.json", {"x": "INTEGER"})
    engine = user.serve()
    user.run("run", template, "--input", "x=1", "--name", "before")

    filler = fill(small_disk)
    refused = [user.run("run", template, "--input", "x=2", "--detach", code=None) for _ in range(3)]
    filler.unlink()
    after = user.run("run", template, "--input", "x=3", "--name", "after")

    acknowledged = {done.out.strip() for done in refused if done.code == 0}
    assert all(done.code == 2 and "full" in done.error for done in refused if done.code != 0), refused
    assert any(done.code == 2 for done in refused)
    assert after.out == "o0: int = 3\n"
    for name in acknowledged | {"default/before", "default/after"}:
        assert user.is_over(name)["phase"] == "Success"
    assert len(user.list()) == len(acknowledged) + 2
    assert engine.process.poll() is None


def test_a_run_on_a_full_disk_says_so(user: User, tmp_path: Path, small_disk: Path) -> None:
    template = echo(tmp_path / "e.json", {"x": "INTEGER"})
    filler = fill(small_disk)

    done = user.run("run", template, "--input", "x=2", code=None)

    assert done.code in {2, 3}
    assert "full" in done.error or "No space left" in done.error
    filler.unlink()
    user.run("run", template, "--input", "x=3")
    assert len(user.list()) == 1
