"""One run as a user sees it: exit codes, words on a pipe and on a terminal, cache, timeouts, secrets."""

from __future__ import annotations

import json
import os
import pty
import re
import secrets
import select
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.tasks import Gate, container, echo, python_script
from tests.e2e.user import BIN, ROOT, User, until

SECRET = f"correct-horse-{secrets.token_hex(12)}"
HELLO = ROOT / "examples" / "flytekit" / "hello.py"


# ---- exit codes and output


def test_success_is_0_and_outputs_are_typed(user: User, tmp_path: Path) -> None:
    template = echo(tmp_path / "echo.json", {"x": "INTEGER", "s": "STRING", "b": "BOOLEAN"})

    done = user.run("run", template, "--input", "x=3", "--input", "s=a b", "--input", "b=true")

    assert sorted(done.out.splitlines()) == ["o0: int = 3", 'o1: str = "a b"', "o2: bool = true"]


def test_a_users_failure_is_1_and_says_why(user: User, tmp_path: Path) -> None:
    done = user.run("run", container(tmp_path / "c.json", ["sh", "-c", "echo went wrong; exit 9"]), code=1)

    assert done.out == ""
    assert "failed: PermanentFailure, user error" in done.err
    assert "sh exited with code 9" in done.err


def test_a_mistake_of_usage_is_2(user: User) -> None:
    assert "cannot be read" in user.run("run", "nowhere.json", code=2).error
    assert "no command is called" in user.run("rum", code=2).error


def test_a_failure_of_the_system_is_3(user: User, tmp_path: Path) -> None:
    """Kill the supervisor and its task: the attempt is lost, whoever wrote the task."""
    gate = Gate(tmp_path)
    run = user.start("run", gate.template(), "--name", "lost")
    gate.has_begun()
    for _ in range(4):
        claim = json.loads(_claims(user)[-1].read_text())
        for victim in (claim["supervisor"]["pid"], claim["task"]["pid"]):
            os.kill(victim, 9)
        seen = len(gate.runs())
        until(lambda seen=seen: len(gate.runs()) > seen or run.process.poll() is not None, "another attempt")
        if run.process.poll() is not None:
            break

    done = run.wait()
    assert done.code == 3, done.err
    assert "system error" in done.err


def _claims(user: User) -> list[Path]:
    return sorted((user.home / "work").glob("*/.airscrew/claim.json"), key=lambda path: path.stat().st_mtime)


def test_output_that_nobody_reads_is_141(user: User) -> None:
    command = [str(BIN / "airscrew"), "plugins"]
    with subprocess.Popen(command, env=user.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complaint = process.stderr.read()

    assert (process.returncode, complaint) == (141, b"")


def test_json_is_the_execution_with_its_outputs(user: User, tmp_path: Path) -> None:
    done = user.run("run", echo(tmp_path / "e.json", {"x": "INTEGER"}), "--input", "x=3", "-o", "json")

    assert done.data["phase"] == "Success"
    assert (done.data["outputs"], done.data["output_types"]) == ({"o0": 3}, {"o0": "int"})


def test_outputs_go_where_they_are_wanted(user: User, tmp_path: Path) -> None:
    template = container(tmp_path / "c.json", ["sh", "-c", "echo 7 > /var/outputs/o0"], outputs={"o0": "INTEGER"})

    user.run("run", template, "--output-prefix", "mine", "--name", "one")

    assert list((tmp_path / "mine").rglob("*")) != []
    assert user.get("one")["outputs"] == {"o0": 7}


def test_in_a_pipe_progress_is_plain_lines_on_stderr(user: User, tmp_path: Path) -> None:
    done = user.run("run", container(tmp_path / "c.json", ["echo", "hello"]))

    assert "\x1b" not in done.err
    assert "\r" not in done.err
    phases = re.findall(r"^airscrew: default/\S+: (\w+)", done.err, re.MULTILINE)
    assert phases[0] == "Queued"
    assert phases[-1] == "Success"
    assert "hello" in done.err.splitlines()
    assert done.out == ""


def on_a_terminal(user: User, *arguments: str) -> tuple[int, str]:
    """Run a command with a terminal for its three streams, and give its code and what the terminal showed."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [str(BIN / "airscrew"), *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=user.environment() | {"TERM": "xterm", "COLUMNS": "120"},
        close_fds=True,
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            ready, _, _ = select.select([master], [], [], 60)
            try:
                data = os.read(master, 65536) if ready else b""
            except OSError:
                break
            if not data:
                break
            shown += data
        code = process.wait(60)
    os.close(master)
    return code, shown.decode(errors="replace")


def test_a_terminal_shows_a_line_that_moves(user: User, tmp_path: Path) -> None:
    template = container(tmp_path / "c.json", ["sh", "-c", "echo hello; sleep 0.5"])

    code, shown = on_a_terminal(user, "run", str(template))

    assert code == 0
    assert "Running" in shown
    assert set(shown) & set("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"), shown
    assert "hello" in shown


def test_a_flytekit_task_runs_from_its_source(user: User) -> None:
    done = user.run("run", HELLO, "greet", "--name", "Ada", "--times", "2")

    assert done.out == 'o0: Greeting = {"text":"Hello, Ada! Hello, Ada!","letters":23}\n'
    assert "saying" in done.err


def test_a_flytekit_task_that_raises_shows_its_traceback(user: User) -> None:
    done = user.run("run", HELLO, "divide", "--a", "1", "--b", "0", code=1)

    assert "ZeroDivisionError" in done.err
    assert "hello.py" in done.err


# ---- cache, children, timeouts


SOURCE = """
from pathlib import Path
from flytekit import dynamic, task

@task(cache=True, cache_version="1", cache_ignore_input_vars=("ledger",))
def square(x: int, ledger: str) -> int:
    with Path(ledger).open("a") as opened:
        opened.write("ran\\n")
    return x * x

@task
def double(x: int) -> int:
    return 2 * x

@dynamic
def doubles(n: int) -> list[int]:
    return [double(x=i) for i in range(n)]
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "flow_of_test.py"
    path.write_text(SOURCE)
    return path


def test_a_cached_task_runs_once_over_two_runs(user: User, source: Path, tmp_path: Path) -> None:
    words = ("run", source, "square", "--x", "4", "--ledger", tmp_path / "ran", "-o", "json")
    first = user.run(*words).data

    second = user.run(*words).data

    assert (first["outputs"], second["outputs"]) == ({"o0": 16}, {"o0": 16})
    assert user.get(first["execution"])["cache_status"] == "populated"
    assert second["cache_status"] == "hit"
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_the_children_of_a_dynamic_task_are_seen(user: User, source: Path) -> None:
    done = user.run("run", source, "doubles", "--n", "2", "--name", "parent", "-o", "json")

    assert done.data["outputs"] == {"o0": [0, 2]}
    children = [view for view in user.list() if view.get("parent") == "default/parent"]
    assert sorted(view["phase"] for view in children) == ["Success", "Success"]


def test_a_task_that_takes_too_long_is_ended(user: User, tmp_path: Path) -> None:
    template = container(tmp_path / "long.json", ["sleep", "60"])

    done = user.run("run", template, "--timeout", "attempt=1s", "--name", "long", code=1)

    assert "attempt" in done.err
    assert user.get("long")["phase"] in {"PermanentFailure", "Aborted"}
    assert user.processes() == []


# ---- secrets


def secret_task(path: Path, folder: Path, *, as_file: bool = False) -> Path:
    """Write a task that uses a secret, and waits."""
    read = "open(os.environ['VALUE_AT']).read()" if as_file else "os.environ['_FSEC_VAULT_KEY']"
    source = (
        f"import os, pathlib, time\nvalue = {read}\n"
        f"pathlib.Path({str(folder / 'length')!r}).write_text(str(len(value)))\n"
        f"while not os.path.exists({str(folder / 'go')!r}): time.sleep(0.02)\n"
    )
    wanted: dict[str, Any] = {"group": "vault", "key": "key"}
    wanted |= {"mount_requirement": "FILE", "env_var": "VALUE_AT"} if as_file else {"mount_requirement": "ENV_VAR"}
    return python_script(path, source, security_context={"secrets": [wanted]})


def holders(folder: Path, value: str) -> list[Path]:
    """Find the files that hold a value."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in found if value.encode() in path.read_bytes()]


def arguments_of_all() -> str:
    return subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("as_file", [False, True])
def test_a_secret_is_nowhere_but_with_its_task(user: User, tmp_path: Path, as_file: bool) -> None:
    run = user.start(
        "run", secret_task(tmp_path / "s.json", tmp_path, as_file=as_file), variables={"_FSEC_VAULT_KEY": SECRET}
    )
    until((tmp_path / "length").exists, "the task's begin")

    while_it_runs = holders(user.home, SECRET)
    seen = arguments_of_all()
    assert while_it_runs == []
    assert SECRET not in seen
    (tmp_path / "go").touch()
    done = run.wait()

    assert done.code == 0, done.err
    assert (tmp_path / "length").read_text() == str(len(SECRET))
    assert holders(user.home, SECRET) == []
    assert SECRET not in done.out + done.err
    assert SECRET not in user.run("list", "-o", "json").out
    left = [path for folder in (Path("/dev/shm"), Path("/tmp")) for path in folder.glob("airscrew-*") if path.is_dir()]
    assert [path for one in left for path in holders(one, SECRET)] == []


def test_a_secret_that_a_failing_task_prints_is_in_its_log_alone(user: User, tmp_path: Path) -> None:
    source = "import os, sys\nprint(os.environ['_FSEC_VAULT_KEY'])\nsys.exit('no: ' + os.environ['_FSEC_VAULT_KEY'])"
    wanted = {"group": "vault", "key": "key", "mount_requirement": "ENV_VAR"}
    template = python_script(tmp_path / "s.json", source, security_context={"secrets": [wanted]})
    user.variables["_FSEC_VAULT_KEY"] = SECRET

    user.run("run", template, "--name", "tells", "--no-logs", code=1)

    assert {path.name for path in holders(user.home, SECRET)} == {"task.log"}
    assert SECRET not in user.run("describe", "tells").out


def test_a_missing_secret_is_a_failure_that_names_it(user: User, tmp_path: Path) -> None:
    done = user.run("run", secret_task(tmp_path / "s.json", tmp_path), code=1)

    assert "vault" in done.err
    assert "key" in done.err


# ---- time


def test_help_and_a_cold_run_are_quick(user: User, tmp_path: Path) -> None:
    """Generous here, for the machine is shared; `airscrew bench startup` and `overhead` hold the bars."""
    template = echo(tmp_path / "e.json")
    user.run("--help")

    begin = time.monotonic()
    user.run("--help")
    helped = time.monotonic()
    user.run("run", template)
    ran = time.monotonic()

    assert helped - begin < 0.3 * 4
    assert ran - helped < 1.0 * 4


def test_overhead_is_measured(user: User) -> None:
    figures = user.run("bench", "overhead", "--repeat", "1", "-o", "json").data

    assert set(figures) >= {"run_s", "run_before_s", "run_after_s", "serve_s", "run_through_serve_s"}
    assert 0 < figures["serve_s"] < figures["run_s"]
