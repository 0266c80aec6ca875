"""What an operator does besides running: kill by label, retry, leaks, prune, export, doctor, plugins."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.e2e.tasks import Gate, container, echo
from tests.e2e.user import User, until

CROSS = "\N{MULTIPLICATION SIGN}"


def test_kill_by_label_ends_those_that_carry_it_and_no_others(user: User, tmp_path: Path) -> None:
    user.variables["AIRSCREW_CONFIG"] = str(tmp_path / "config.yaml")
    (tmp_path / "config.yaml").write_text("executors: {process: {slots: 3}}")
    user.serve()
    names: dict[str, str] = {}
    gates: dict[str, Gate] = {}
    for who, team in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / who).mkdir()
        gates[who] = Gate(tmp_path / who)
        template = gates[who].template(who)
        names[who] = user.run("run", template, "--detach", "--label", f"team={team}", "--name", who).out.strip()
        gates[who].has_begun()

    killed = user.run("kill", "-l", "team=x")

    assert sorted(killed.out.split()) == ["default/a", "default/b"]
    assert {view["execution"]: view["phase"] for view in user.list()} == {
        "default/a": "Aborted",
        "default/b": "Aborted",
        "default/c": "Running",
    }
    gates["c"].open()
    assert user.is_over("default/c")["phase"] == "Success"


def test_a_kill_without_an_engine_is_carried_out_at_once(user: User, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    engine = user.start("run", gate.template())
    gate.has_begun()
    name = engine.name()
    engine.kill_hard()

    user.run("kill", name)

    assert user.get(name)["phase"] == "Aborted"
    assert user.processes() == []


def test_a_retry_is_a_new_execution_that_names_its_origin(user: User, tmp_path: Path) -> None:
    template = container(tmp_path / "fails.json", ["sh", "-c", f"test -e {tmp_path}/mended"])
    user.run("run", template, "--name", "first", code=1)
    (tmp_path / "mended").touch()

    retried = user.run("retry", "first", "-o", "json")

    assert retried.data["origin"] == "default/first"
    assert retried.data["phase"] == "Success"
    assert "Retry of:     default/first" in user.run("describe", retried.data["execution"]).out
    assert user.get("first")["phase"] == "PermanentFailure"


def test_a_second_attempt_is_made_when_retries_are_given(user: User, tmp_path: Path) -> None:
    script = f"if [ -e {tmp_path}/once ]; then exit 0; fi; touch {tmp_path}/once; echo first; exit 3"
    template = container(tmp_path / "flaky.json", ["sh", "-c", script])

    done = user.run("run", template, "--retries", "1", "--name", "flaky")

    assert "attempt 2/2" in done.err
    assert user.run("logs", "flaky", "--attempt", "1").out == "first\n"
    described = user.run("describe", "flaky").out
    assert "attempt 1 ended RetryableFailure" in described
    assert "attempt 2 ended Success" in described


def test_nothing_is_left_outside_after_success_failure_and_kill(user: User, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    user.run("run", container(tmp_path / "good.json", ["true"]))
    user.run("run", container(tmp_path / "bad.json", ["false"]), code=1)
    engine = user.start("run", gate.template())
    gate.has_begun()
    engine.signal(signal.SIGINT)
    engine.wait()

    leaks = user.run("leaks")

    assert leaks.out == "nothing is left outside\n"
    assert {len(view.get("ledger", [])) for view in user.list()} == {0}


def test_prune_removes_records_logs_and_outputs(user: User, tmp_path: Path) -> None:
    words = "pruned-words-of-a-log"
    script = f"echo {words}; echo {words} > /var/outputs/o0"
    user.run("run", container(tmp_path / "says.json", ["sh", "-c", script], outputs={"o0": "STRING"}), "--name", "gone")
    user.run("run", echo(tmp_path / "echo.json"), "--name", "kept")
    assert user.run("prune", "--older-than", "0s", "--keep", "1", "--dry-run").out == "default/gone\n"

    pruned = user.run("prune", "--older-than", "0s", "--keep", "1")

    assert pruned.out == "default/gone\n"
    assert [view["execution"] for view in user.list()] == ["default/kept"]
    assert "there is no execution default/gone" in user.run("get", "gone", code=2).error
    left = [path for path in user.home.rglob("*") if path.is_file() and "gone" in str(path)]
    assert left == []
    holding = [
        path for path in (user.home / "work").rglob("*") if path.is_file() and words in path.read_text(errors="replace")
    ]
    holding += [
        path for path in (user.home / "data").rglob("*") if path.is_file() and words in path.read_text(errors="replace")
    ]
    assert holding == []


def test_what_is_old_goes_by_itself_at_most_once_an_hour(user: User, tmp_path: Path) -> None:
    user.variables["AIRSCREW_RETENTION_FINISHED_AGE"] = "0.01s"
    template = echo(tmp_path / "echo.json")
    for name in ("one", "two"):
        user.run("run", template, "--name", name)
    assert sorted(user.run("list", "-o", "name").out.split()) == ["default/one", "default/two"]

    os.utime(user.home / "pruned", (0, 0))
    user.run("run", container(tmp_path / "short.json", ["sleep", "0.3"]), "--name", "three")

    assert user.run("list", "-o", "name").out.split() == ["default/three"]


def test_state_goes_out_and_into_an_empty_home(user: User, tmp_path: Path) -> None:
    template = echo(tmp_path / "echo.json", {"x": "INTEGER"})
    user.run("run", template, "--input", "x=3", "--name", "one")
    user.run("run", container(tmp_path / "bad.json", ["false"]), "--name", "two", code=1)
    before = user.list()

    user.run("state", "export", tmp_path / "state.jsonl")
    user.home = tmp_path / "other"
    imported = user.run("state", "import", tmp_path / "state.jsonl")

    assert "keys imported" in imported.err
    assert user.list() == before
    assert user.get("one")["outputs"] == {"o0": 3}
    again = user.run("state", "import", tmp_path / "state.jsonl", code=None)
    assert again.code in {2, 3}
    assert user.list() == before


def test_state_is_not_exported_while_an_engine_writes_it(user: User, tmp_path: Path) -> None:
    user.serve()

    refused = user.run("state", "export", tmp_path / "state.jsonl", code=3)

    assert "in use by another airscrew process" in refused.error
    assert not (tmp_path / "state.jsonl").exists()
    assert not list(tmp_path.glob("*.part"))


def test_doctor_finds_a_new_home_in_order(user: User) -> None:
    done = user.run("doctor")

    assert "Python 3" in done.out
    assert "process: ready" in done.out
    assert CROSS not in done.out


def broken_plugin(folder: Path) -> None:
    """Install a distribution whose executor does not import."""
    folder.mkdir()
    (folder / "broken_plugin.py").write_text("raise ImportError('libfoo is missing')\n")
    about = folder / "broken_plugin-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[airscrew.executors]\nbroken = broken_plugin:Broken\n")


def test_a_plugin_that_fails_to_import_is_shown_and_keeps_nothing_else_down(user: User, tmp_path: Path) -> None:
    broken_plugin(tmp_path / "site")
    user.variables["PYTHONPATH"] = str(tmp_path / "site")

    ran = user.run("run", echo(tmp_path / "echo.json", {"x": "INTEGER"}), "--input", "x=3")
    plugins = user.run("plugins")
    doctor = user.run("doctor", code=3)

    assert ran.out == "o0: int = 3\n"
    line = next(line for line in plugins.out.splitlines() if line.startswith("broken"))
    assert "libfoo is missing" in line
    assert f"{CROSS} broken: broken: ImportError: libfoo is missing" in doctor.out
    views = {view["id"]: view for view in user.run("plugins", "-o", "json").data}
    assert views["echo"].get("problem", "") == ""
    assert views["broken"]["version"] == "1.0"


def test_all_json_is_one_document(user: User, tmp_path: Path) -> None:
    user.run("run", echo(tmp_path / "echo.json"), "--name", "one")

    for words in (
        ["list"],
        ["get", "one"],
        ["describe", "one"],
        ["leaks"],
        ["plugins"],
        ["doctor"],
        ["state", "status"],
    ):
        json.loads(user.run(*words, "-o", "json").out)


def test_a_quota_makes_a_task_wait_and_holds_over_a_crash(user: User, tmp_path: Path) -> None:
    user.variables["AIRSCREW_CONFIG"] = str(tmp_path / "config.yaml")
    (tmp_path / "config.yaml").write_text(
        "executors: {process: {slots: 3}}\nquotas: {few: {limit: 1, executors: [process]}}\n"
    )
    engine = user.serve()
    gates: dict[str, Gate] = {}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        gates[name] = Gate(tmp_path / name)
        user.run("run", gates[name].template(name), "--detach", "--name", name)
        if name == "a":
            gates[name].has_begun()

    until(lambda: user.get("b")["phase"] == "WaitingForResources", "the wait")
    assert user.get("b")["reason"] == "waits for quota few: 1 of 1 used"
    engine.kill_hard()
    [pool] = user.json("quotas")
    assert (pool["pool"], pool["limit"], pool["used"], pool["waiting"]) == ("few", 1, 1, 1)
    user.serve()
    gates["a"].open()
    gates["b"].open()

    assert [user.is_over(f"default/{name}")["phase"] for name in "ab"] == ["Success", "Success"]
    until(lambda: [(view["used"], view["waiting"]) for view in user.json("quotas")] == [(0, 0)], "the end")


def test_a_quota_of_an_executor_that_is_not_installed_is_one_line(user: User, tmp_path: Path) -> None:
    user.variables["AIRSCREW_CONFIG"] = str(tmp_path / "config.yaml")
    (tmp_path / "config.yaml").write_text("quotas: {few: {limit: 1, executors: [proces]}}\n")

    done = user.run("list", code=2)

    assert done.error == "quotas name executors that are not installed: 'proces' (did you mean 'process'?)"
