"""Several terminals on one store: whoever comes first is the engine, and the others reach it."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
from pathlib import Path

import pytest
from tests.e2e.tasks import Gate, container, echo
from tests.e2e.user import User, until


def socket_of(user: User) -> Path:
    return user.home / "run" / "state.sock"


def running_gate(user: User, folder: Path, *options: str) -> tuple[Gate, str]:
    """Start a task that waits, in a terminal of its own that is the engine."""
    gate = Gate(folder)
    engine = user.start("run", gate.template(), *options)
    gate.has_begun()
    until(socket_of(user).exists, "the socket")
    return gate, engine.name()


def test_a_second_terminal_sees_what_the_first_runs(user: User, tmp_path: Path) -> None:
    gate, name = running_gate(user, tmp_path, "--label", "team=x")

    assert f"{name}   raw-container   Running" in user.run("list").out
    assert user.run("list", "-o", "name").out.split() == [name]
    assert user.run("list", "-l", "team=y").out == "no executions\n"
    assert "Running" in user.run("get", name).out
    described = user.run("describe", name).out
    assert "Executor:     process" in described
    assert "attempt 1 started" in described
    assert user.run("logs", name).out == "begun\n"
    assert [view["live"] for view in user.run("plugins", "-o", "json").data if view["id"] == "process"] == [1]
    assert "and answers" in user.run("doctor", code=None).out

    gate.open()
    assert user.commands[0].wait().out == "o0: int = 7\n"


def test_a_log_is_followed_to_its_end(user: User, tmp_path: Path) -> None:
    gate, name = running_gate(user, tmp_path)

    follower = user.start("logs", "-f", name)
    follower.prints("begun")
    gate.open()

    assert follower.wait().out == "begun\nended\n"


def test_a_watch_tells_each_change_and_ends_with_the_executions_exit_code(user: User, tmp_path: Path) -> None:
    gate, name = running_gate(user, tmp_path)

    watcher = user.start("watch", name, "-o", "json")
    watcher.prints("Running")
    gate.open()

    done = watcher.wait()
    assert done.code == 0
    assert [json.loads(line)["phase"] for line in done.out.splitlines()][-1] == "Success"


def test_a_kill_from_another_terminal_ends_the_task_and_the_first_ones_run(user: User, tmp_path: Path) -> None:
    gate, name = running_gate(user, tmp_path)

    killed = user.run("kill", name, "--reason", "enough")

    assert killed.out == f"{name}\n"
    first = user.commands[0].wait()
    assert first.code == 1
    assert first.err.splitlines()[-1] == f"airscrew: {name} was ended: enough"
    assert user.get(name)["phase"] == "Aborted"
    assert len(gate.runs()) == 1
    assert user.processes() == []


def test_a_second_run_goes_through_the_first_ones_engine(user: User, tmp_path: Path) -> None:
    gate, name = running_gate(user, tmp_path)

    second = user.run("run", echo(tmp_path / "echo.json", {"x": "INTEGER"}), "--input", "x=3")

    assert second.out == "o0: int = 3\n"
    gate.open()
    assert user.commands[0].wait().code == 0
    assert {view["phase"] for view in user.list()} == {"Success"}
    assert name in {view["execution"] for view in user.list()}


def test_when_the_first_engine_exits_a_waiting_run_takes_over(user: User, tmp_path: Path) -> None:
    gate, _ = running_gate(user, tmp_path)
    (tmp_path / "b").mkdir()
    other = Gate(tmp_path / "b")
    second = user.start("run", other.template())
    pid = other.has_begun()

    gate.open()
    assert user.commands[0].wait().code == 0
    second.says("the engine went away; going on without it")
    other.open()

    done = second.wait()
    assert (done.code, done.out) == (0, "o0: int = 7\n")
    assert done.err.splitlines().count("begun") == 1, "what was told of the log is not told again"
    assert other.runs() == [pid]
    assert user.processes() == []


def test_a_watch_without_an_engine_says_so_and_keeps_no_engine_from_its_work(user: User, tmp_path: Path) -> None:
    gate, name = running_gate(user, tmp_path)
    user.commands[0].kill_hard()

    watcher, follower = user.start("watch", name), user.start("logs", "-f", name)
    for looking in (watcher, follower):
        looking.says("no engine works on it: airscrew run --resume, or airscrew serve, goes on with it")
    gate.open()
    resumed = user.run("run", "--resume")

    assert resumed.code == 0
    assert watcher.wait().code == 0
    assert follower.wait().out == "begun\nended\n"


def test_commands_that_look_wait_for_an_engine_that_just_begins(user: User, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    user.start("run", gate.template()).name()

    looks = [user.start("list", "-o", "name") for _ in range(3)]

    ended = [look.wait() for look in looks]
    assert [done.code for done in ended] == [0, 0, 0], [done.err for done in ended]
    gate.open()


def test_many_runs_at_once_on_a_new_home_share_one_engine(user: User, tmp_path: Path) -> None:
    template = echo(tmp_path / "echo.json", {"x": "INTEGER"})

    runs = [user.start("run", template, "--input", f"x={number}") for number in range(4)]

    ended = [run.wait() for run in runs]
    assert [done.code for done in ended] == [0] * 4, [done.err for done in ended]
    assert sorted(done.out for done in ended) == [f"o0: int = {number}\n" for number in range(4)]


def test_a_run_says_what_it_leaves_alone(user: User, tmp_path: Path) -> None:
    gate, name = running_gate(user, tmp_path)
    user.commands[0].kill_hard()

    done = user.run("run", echo(tmp_path / "echo.json"))

    assert "1 unfinished left alone; airscrew run --resume goes on with them" in done.err
    assert user.get(name)["phase"] == "Running"
    gate.open()
    user.run("run", "--resume")
    assert len(gate.runs()) == 1


# ---- in the background


def test_a_detached_run_goes_on_without_a_terminal(user: User, tmp_path: Path) -> None:
    gate = Gate(tmp_path)

    name = user.run("run", gate.template(), "--detach").out.strip()
    gate.has_begun()
    watcher = user.start("watch", name)
    watcher.prints(r"Running")
    gate.open()

    assert watcher.wait().code == 0
    assert user.run("logs", name).out == "begun\nended\n"
    assert user.get(name)["outputs"] == {"o0": 7}


def test_an_engine_in_the_background_ends_when_nothing_is_left_to_do(user: User, tmp_path: Path) -> None:
    user.run("run", echo(tmp_path / "echo.json"), "--detach")
    assert len(user.processes()) == 1

    until(lambda: user.processes() == [], "the end of the engine in the background")


def test_serve_runs_no_processes_unless_the_operator_wants_them(user: User, tmp_path: Path) -> None:
    engine = user.start("serve")
    engine.says("serving on unix:")

    refused = user.run("run", container(tmp_path / "c.json", ["true"]), code=2)

    assert re.search(r"no executor takes task type 'raw-container'; not enabled: .*\bpod, process\b", refused.error)
    assert user.list() == []


def test_sigterm_drains_an_engine_and_leaves_its_tasks_to_the_next_one(user: User, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    first = user.serve()
    name = user.run("run", gate.template(), "--detach").out.strip()
    pid = gate.has_begun()

    first.signal(signal.SIGTERM)
    ended = first.wait()

    assert ended.code == 0
    assert ended.err.splitlines()[-1] == "airscrew: draining"
    os.kill(pid, 0)
    user.serve()
    gate.open()
    assert user.is_over(name)["phase"] == "Success"
    assert gate.runs() == [pid]


# ---- over a port


def serve_port(user: User) -> tuple[str, Path]:
    engine = user.serve("--listen", "127.0.0.1:0")
    found = engine.says(r"and (127\.0\.0\.1:\d+) \(token: (.+)\)")
    return found[1], Path(found[2])


def test_a_port_is_served_to_who_shows_the_token(user: User, tmp_path: Path) -> None:
    address, token = serve_port(user)
    reach = ("--server", address, "--token-file", str(token))

    done = user.run(*reach, "run", echo(tmp_path / "echo.json", {"x": "INTEGER"}), "--input", "x=3")

    assert done.out == "o0: int = 3\n"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert len(user.run(*reach, "list", "-o", "json").data) == 1


def test_a_wrong_token_is_refused(user: User, tmp_path: Path) -> None:
    address, _ = serve_port(user)
    wrong = tmp_path / "wrong"
    wrong.write_text("guessed")

    refused = user.run("--server", address, "--token-file", wrong, "list", code=2)

    assert "token" in refused.error


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "example.org:80"])
def test_nothing_is_served_beyond_this_machine(user: User, address: str) -> None:
    refused = user.run("serve", "--listen", address, code=2)

    assert "is not on this machine" in refused.error


def test_no_token_is_sent_beyond_this_machine(user: User, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")

    refused = user.run("--server", "192.0.2.1:80", "--token-file", tmp_path / "token", "list", code=2)

    assert "is not on this machine" in refused.error


# ---- Ctrl-C


def test_ctrl_c_kills_and_says_so_when_it_is_gone(user: User, tmp_path: Path) -> None:
    gate, name = running_gate(user, tmp_path)

    user.commands[0].signal(signal.SIGINT)

    done = user.commands[0].wait()
    assert done.code == 130
    assert f"killing {name}" in done.err
    assert done.err.splitlines()[-1].startswith(f"airscrew: {name} was ended")
    assert user.processes() == []
    assert user.get(name)["phase"] == "Aborted"
    assert len(gate.runs()) == 1


def test_ctrl_c_twice_leaves_the_task_running_and_says_how_to_resume(user: User, tmp_path: Path) -> None:
    stubborn = f'trap "" TERM; echo $$ >> {tmp_path}/ran; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; true'
    engine = user.start("run", container(tmp_path / "stubborn.json", ["sh", "-c", stubborn]))
    gate = Gate(tmp_path)
    pid = gate.has_begun()
    name = engine.name()

    engine.signal(signal.SIGINT)
    engine.says(f"killing {name}")
    engine.signal(signal.SIGINT)

    done = engine.wait()
    assert done.code == 130
    assert done.err.splitlines()[-1] == f"airscrew: {name} is left running; airscrew run --resume goes on with it"
    os.kill(pid, 0)


def test_sigterm_leaves_the_task_running(user: User, tmp_path: Path) -> None:
    gate, name = running_gate(user, tmp_path)

    user.commands[0].signal(signal.SIGTERM)

    done = user.commands[0].wait()
    assert done.code == 143
    os.kill(gate.runs()[0], 0)
    gate.open()
    user.run("run", "--resume")
    assert user.get(name)["phase"] == "Success"
