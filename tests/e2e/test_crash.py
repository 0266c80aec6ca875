"""SIGKILL of the engine at every moment: nothing is lost, nothing runs twice, nothing is left."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from tests.e2e.tasks import Gate, container
from tests.e2e.user import User, until


def attempt_folders(user: User) -> list[Path]:
    return list((user.home / "work").glob("*/.airscrew"))


def test_a_task_that_runs_is_adopted_by_run_resume(user: User, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    engine = user.start("run", gate.template(), "-o", "json")
    pid = gate.has_begun()
    name = engine.name()
    engine.kill_hard()
    os.kill(pid, 0)

    resumed = user.start("run", "--resume")
    resumed.says(f"{name}: Running")
    gate.open()

    done = resumed.wait()
    assert done.code == 0, done.err
    view = user.get(name)
    assert (view["phase"], view["outputs"]) == ("Success", {"o0": 7})
    assert gate.runs() == [pid]
    assert user.processes() == []


def test_a_task_that_runs_is_adopted_by_serve(user: User, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    engine = user.start("run", gate.template())
    pid = gate.has_begun()
    name = engine.name()
    engine.kill_hard()

    serving = user.serve()
    gate.open()

    view = user.is_over(name)
    assert (view["phase"], view["outputs"], view.get("attempt", 0)) == ("Success", {"o0": 7}, 0)
    assert gate.runs() == [pid]
    serving.signal(signal.SIGTERM)
    assert serving.wait().code == 0
    assert user.processes() == []


def test_a_task_that_ended_while_no_engine_was_there_gives_its_outputs(user: User, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    engine = user.start("run", gate.template())
    pid = gate.has_begun()
    name = engine.name()
    engine.kill_hard()
    gate.open()
    until(lambda: user.processes() == [], "the task's end")

    user.run("run", "--resume")

    assert user.get(name)["outputs"] == {"o0": 7}
    assert gate.runs() == [pid]


def test_an_engine_killed_just_after_the_task_ended_took_nothing_with_it(user: User, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    engine = user.start("run", gate.template())
    pid = gate.has_begun()
    name = engine.name()
    engine.signal(signal.SIGSTOP)
    gate.open()
    until((attempt_folders(user)[0] / "status.json").exists, "the task's status")
    engine.signal(signal.SIGCONT)
    engine.kill_hard()

    user.run("run", "--resume")

    assert user.get(name)["phase"] == "Success"
    assert gate.runs() == [pid]


def test_a_task_that_waited_for_a_slot_runs_once_after_the_engine_was_killed(user: User, tmp_path: Path) -> None:
    user.variables["AIRSCREW_CONFIG"] = str(tmp_path / "config.yaml")
    (tmp_path / "config.yaml").write_text("executors: {process: {slots: 1}}")
    gate = Gate(tmp_path)
    second = tmp_path / "second.log"
    waiting = container(tmp_path / "waiting.json", ["sh", "-c", f"echo ran >> {second}"])
    engine = user.serve()
    user.start("run", gate.template())
    gate.has_begun()
    user.start("run", waiting).name()

    engine.kill_hard()
    for client in user.commands[1:]:
        client.kill_hard()
    assert not second.exists()
    gate.open()
    done = user.run("run", "--resume")

    assert [view["phase"] for view in user.list()] == ["Success", "Success"], done.err
    assert second.read_text() == "ran\n"
    assert len(gate.runs()) == 1


@pytest.mark.parametrize("part", range(2))
def test_killed_at_any_moment_an_accepted_task_runs_once(user: User, tmp_path: Path, part: int) -> None:
    """Sweep the kill from the acceptance over the spawn to the end, a few milliseconds on each time."""
    ran = tmp_path / "ran"
    template = container(tmp_path / "short.json", ["sh", "-c", f"echo $AIRSCREW_RUN >> {ran}; sleep 0.02"])
    pauses = [0.005 * (2 * step + part) for step in range(8)]

    for number, pause in enumerate(pauses):
        engine = user.start("run", template, "--name", f"r{number}", "--env", f"AIRSCREW_RUN={number}")
        engine.name()
        time.sleep(pause)
        engine.kill_hard()
    user.run("run", "--resume")

    views = {view["execution"]: view for view in user.list()}
    assert {view["phase"] for view in views.values()} == {"Success"}
    assert sorted(ran.read_text().split(), key=int) == [str(number) for number in range(len(pauses))]
    assert len(views) == len(pauses)
    assert user.processes() == []
    assert user.run("leaks").out == "nothing is left outside\n"


def test_a_kill_that_was_asked_for_is_finished_by_the_next_engine(user: User, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    engine = user.serve()
    client = user.start("run", gate.template())
    pid = gate.has_begun()
    name = client.name()
    # The engine hears of the kill and is gone before it can see to it.
    engine.signal(signal.SIGSTOP)
    engine.kill_hard()
    client.kill_hard()

    user.run("kill", name)

    view = user.get(name)
    assert view["phase"] == "Aborted"
    assert gate.runs() == [pid]
    assert user.processes() == []
