"""
The process executor over real processes: nothing here is faked but the engine around it.
"""

# ruff: noqa: ASYNC220, ASYNC240

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.process_tasks import alive, command, environment, is_running, python, runs, shell

from airscrew.engine.errors import PermanentError, RetryableError
from airscrew.engine.executor import Gone, OutputsAt, TaskStatus
from airscrew.engine.testing.attempt import Attempt
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.idl.template import Container, K8sPod, TaskTemplate, make_template
from airscrew.plugins.process.command import command_of
from airscrew.plugins.process.config import Config
from airscrew.plugins.process.executor import log_tail
from airscrew.plugins.process.observation import has_lock, read_claim
from airscrew.plugins.process.preparation import Preparation
from airscrew.plugins.process.spawner import LocalSpawner
from airscrew.plugins.process.state import ProcessState

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


DAEMON = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 100)
        script = "echo $$ > daemon; trap '' TERM; while :; do sleep 1; done"
        os.execve("/bin/sh", ["sh", "-c", script], {"PATH": os.environ["PATH"]})
    os._exit(0)
while not (os.path.exists("daemon") and os.path.getsize("daemon")):
    time.sleep(0.01)
"""
"""A task whose grandchild leaves its session, its group, its descriptors and its environment behind."""


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something that happens in another process."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.005)


async def run(folder: Path, template: TaskTemplate, **config: object) -> TaskStatus[ProcessState]:
    """Run a task to its end."""
    async with environment(folder, config=config) as opened:
        attempt = opened.attempt(template)
        status = await attempt.run()
        assert alive(attempt.key) == []
        return status


def work_of(status: TaskStatus[ProcessState]) -> Path:
    return Path(status.state.log).parent


def claimed(attempt: Attempt[Any]) -> tuple[int, int]:
    """Give the process ids of supervisor and task."""
    claim = read_claim(attempt.state.place)
    assert claim is not None
    return claim.supervisor.pid, claim.task.pid


def children() -> set[str]:
    """List the children of this process, zombies too."""
    return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


def threads() -> int:
    """Count the threads of this process."""
    return len(list(Path("/proc/self/task").iterdir()))


def adopt(attempt: Attempt[Any], raw_state: bytes) -> None:
    """Give an attempt the state that another process has stored."""
    attempt.raw_state, attempt.phase = raw_state, Phase.RUNNING


async def test_a_command_that_exits_with_zero_succeeds_with_what_lies_at_the_output_prefix(tmp_path: Path) -> None:
    status = await run(tmp_path, shell("echo hello; echo error >&2", outputs={"x": int}))

    assert status.phase is Phase.SUCCESS
    assert status.outputs == OutputsAt(f"{work_of(status).parent.as_uri()}/outputs", missing_is_success=False)
    assert Path(status.state.log).read_text() == "hello\nerror\n"
    assert status.info.logs[0].uri == Path(status.state.log).as_uri()


async def test_a_task_without_outputs_need_not_write_any(tmp_path: Path) -> None:
    status = await run(tmp_path, shell("true"))

    assert isinstance(status.outputs, OutputsAt)
    assert status.outputs.missing_is_success


@pytest.mark.parametrize(
    ("script", "code", "kind"),
    [
        ("echo why; exit 7", "ExitCode:7", ErrorKind.USER),
        ("kill -SEGV $$", "Signal:SIGSEGV", ErrorKind.USER),
        ("kill -KILL $$", "Interrupted", ErrorKind.SYSTEM),
        ("exit 137", "Interrupted", ErrorKind.SYSTEM),
        ("exec /dev/null", "ExitCode:126", ErrorKind.USER),
    ],
)
async def test_a_failure_is_told_by_its_exit_code_or_signal(
    tmp_path: Path, script: str, code: str, kind: ErrorKind
) -> None:
    status = await run(tmp_path, shell(script))

    assert status.phase is Phase.RETRYABLE_FAILURE
    assert status.error is not None
    assert (status.error.code, status.error.kind) == (code, kind)
    assert isinstance(status.outputs, OutputsAt)


async def test_the_message_of_a_failure_ends_with_the_end_of_the_log(tmp_path: Path) -> None:
    status = await run(tmp_path, shell("seq 1 5000; echo the reason >&2; exit 7"))

    assert status.error is not None
    assert status.error.message.startswith("sh exited with code 7\n")
    assert status.error.message.endswith("4999\n5000\nthe reason")
    assert len(status.error.message) < 2200
    assert status.reason == "sh exited with code 7"


@pytest.mark.parametrize("name", ["no-such-command", "./no-such-file", "/no/such/file"])
async def test_a_command_that_is_not_there_fails_for_good_and_says_what_to_do(tmp_path: Path, name: str) -> None:
    async with environment(tmp_path) as opened:
        attempt = opened.attempt(command(name))

        with pytest.raises(PermanentError, match=r"was not found: tasks run on this machine") as caught:
            await attempt.start()

        assert caught.value.code == "CommandNotFound"
        assert name in str(caught.value)


async def test_a_start_that_was_refused_is_refused_again_and_never_begins(tmp_path: Path) -> None:
    async with environment(tmp_path, config={"path": [str(tmp_path)]}) as opened:
        attempt = opened.attempt(command("comes-later"))
        with pytest.raises(PermanentError):
            await attempt.start()
        (tmp_path / "comes-later").write_text("#!/bin/sh\n")
        (tmp_path / "comes-later").chmod(0o755)

        with pytest.raises(Exception, match="an earlier start of this attempt was refused"):
            await attempt.start()


async def test_a_file_that_cannot_be_executed_fails_for_good(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o644)

    status = await run(tmp_path, command(str(script)))

    assert status.phase is Phase.PERMANENT_FAILURE
    assert status.error is not None
    assert status.error.code == "CommandNotExecutable"


async def test_a_script_whose_interpreter_is_missing_fails_for_good(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)

    status = await run(tmp_path, command(str(script)))

    assert status.error is not None
    assert status.error.code == "CommandNotFound"


async def test_the_environment_is_the_tasks_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_PASSWORD", "of-the-engine")
    template = shell("env", env={"OF_CONTAINER": "1"})

    status = await run(tmp_path, template, environment={"OF_CONFIG": "1"})

    lines = dict(line.partition("=")[::2] for line in Path(status.state.log).read_text().splitlines())
    assert "ENGINE_PASSWORD" not in lines
    assert lines["OF_CONTAINER"] == lines["OF_CONFIG"] == lines["PYTHONUNBUFFERED"] == "1"
    assert lines["PATH"].startswith(str(Path(sys.executable).parent) + os.pathsep)
    assert lines["PWD"] == str(work_of(status))
    assert lines["TMPDIR"] == status.state.temporary


async def test_a_task_inherits_no_descriptor_but_its_own_lock(tmp_path: Path) -> None:
    left_open = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(left_open, True)
    try:
        status = await run(tmp_path, shell("cd /proc/$$/fd && for fd in *; do readlink $fd; done"))
    finally:
        os.close(left_open)

    place, log = status.state.place, status.state.log
    assert set(Path(log).read_text().split()) == {"/dev/null", log, place.lock}


async def test_a_task_starts_with_no_signal_ignored_or_blocked(tmp_path: Path) -> None:
    status = await run(tmp_path, shell("grep -E 'Sig(Blk|Ign)' /proc/self/status"))

    blocked, ignored = (int(text, 16) for text in Path(status.state.log).read_text().split()[1::2])
    assert blocked == 0
    assert ignored & ~(0b11 << 31) == 0  # glibc keeps signals 32 and 33 for itself


async def test_limits_hold_for_the_task(tmp_path: Path) -> None:
    status = await run(tmp_path, shell("ulimit -n; ulimit -c"), rlimits={"nofile": 64, "core": 0})

    assert Path(status.state.log).read_text().split() == ["64", "0"]


async def test_a_memory_limit_is_enforced_when_the_configuration_says_so(tmp_path: Path) -> None:
    pod = K8sPod(
        pod_spec={
            "containers": [
                {
                    "name": "main",
                    "command": [sys.executable],
                    "args": ["-S", "-c", "x = bytearray(300 << 20); print(len(x))"],
                    "resources": {"limits": {"memory": "200Mi"}},
                }
            ]
        },
        primary_container_name="main",
    )
    template = make_template("sidecar", target=pod)

    bounded = await run(tmp_path / "bounded", template, enforce_limits=True)
    free = await run(tmp_path / "free", template)

    assert bounded.error is not None
    assert "MemoryError" in bounded.error.message
    assert free.phase is Phase.SUCCESS


async def test_a_second_start_changes_nothing_while_the_task_runs_and_after_its_end(tmp_path: Path) -> None:
    async with environment(tmp_path) as opened:
        attempt = opened.attempt(
            shell(f"echo run >> {tmp_path}/runs; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done")
        )
        first = await attempt.start()
        await until(lambda: runs(tmp_path))

        again = await attempt.start()
        (tmp_path / "go").touch()
        status = await attempt.run()
        late = await attempt.start_unrecorded()

    assert isinstance(first, TaskStatus)
    assert isinstance(again, TaskStatus)
    assert again.state == first.state
    assert status.phase is Phase.SUCCESS
    assert isinstance(late, TaskStatus)
    assert late.phase is Phase.RUNNING
    assert runs(tmp_path) == 1


async def test_of_many_concurrent_starters_one_runs_the_task(tmp_path: Path) -> None:
    async with environment(tmp_path) as opened:
        attempts = [opened.attempt(shell(f"echo run >> {tmp_path}/runs; sleep 0.1")) for _ in range(8)]

        async with asyncio.TaskGroup() as group:
            for attempt in attempts:
                group.create_task(attempt.start())
        place = attempts[0].state.place
        await until(lambda: Path(place.status).exists() and not has_lock(place))
        statuses = [await attempt.check() for attempt in attempts]

    assert {status.phase for status in statuses} == {Phase.SUCCESS}
    assert runs(tmp_path) == 1


async def test_of_two_engines_that_start_one_attempt_one_runs_the_task(tmp_path: Path) -> None:
    script = f"echo run >> {tmp_path}/runs; sleep 0.3"
    engines = [start_engine(tmp_path, "shared", script) for _ in range(2)]
    try:
        states = [state_of(engine) for engine in engines]
    finally:
        for engine in engines:
            kill_engine(engine)

    async with environment(tmp_path) as opened:
        attempt = opened.attempt(shell(script), name="shared")
        adopt(attempt, states[1])
        status = await attempt.run()

    assert status.phase is Phase.SUCCESS
    assert runs(tmp_path) == 1
    assert states[0] == states[1]


async def test_a_task_outlives_the_kill_of_its_engine_and_the_next_one_is_woken_by_its_end(tmp_path: Path) -> None:
    script = f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo done; exit 3"
    engine = start_engine(tmp_path, "orphan", script)
    try:
        raw_state = state_of(engine)
    finally:
        kill_engine(engine)

    async with environment(tmp_path) as opened:
        attempt = opened.attempt(shell(script), name="orphan")
        adopt(attempt, raw_state)
        running = await attempt.check()
        (tmp_path / "go").touch()
        status = await attempt.run(limit_seconds=5)  # less than the check interval: the wake is needed

    assert running.phase is Phase.RUNNING
    assert not Path(status.state.temporary).exists()
    assert status.error is not None
    assert status.error.code == "ExitCode:3"
    assert status.error.message.endswith("done")


async def test_the_end_of_a_task_wakes_its_owner_at_once(tmp_path: Path) -> None:
    async with environment(tmp_path) as opened:
        attempt = opened.attempt(shell("sleep 0.2; date +%s%N"))
        await attempt.start()

        async with asyncio.timeout(5):
            await attempt.was_woken.wait()
        woken_at = time.time()
        status = await attempt.check()

    assert status.phase is Phase.SUCCESS
    assert woken_at - int(Path(status.state.log).read_text()) / 1e9 < 0.5


async def test_the_log_can_be_read_while_the_task_runs(tmp_path: Path) -> None:
    async with environment(tmp_path) as opened:
        attempt = opened.attempt(python("import time; print('first'); time.sleep(60)"))
        status = await attempt.start()
        assert isinstance(status, TaskStatus)
        log = Path(status.info.logs[0].uri.removeprefix("file://"))

        await until(lambda: log.read_text() == "first\n")

        assert (await attempt.check()).phase is Phase.RUNNING
        await attempt.kill_until_gone("enough")


async def test_a_log_is_kept_within_its_limit(tmp_path: Path) -> None:
    script = "i=0; while [ $i -lt 40 ]; do seq 1 2000; sleep 0.05; i=$((i+1)); done; echo last"

    status = await run(tmp_path, shell(script), log_limit_bytes=60_000)

    log, older = Path(status.state.log), Path(f"{status.state.log}.1")
    assert (older.read_text() + log.read_text()).endswith("2000\nlast\n")
    assert log_tail(status.state.log).endswith("2000\nlast")
    assert log.stat().st_size + older.stat().st_size < 40 * 8893 * 0.8


async def test_a_kill_ends_the_task_and_all_that_it_started(tmp_path: Path) -> None:
    async with environment(tmp_path) as opened:
        attempt = opened.attempt(shell(f"sleep 100 & sleep 100 & touch {tmp_path}/up; wait"))
        await attempt.start()
        await until((tmp_path / "up").exists)

        await attempt.kill_until_gone("enough")

        assert alive(attempt.key) == []
        assert isinstance(await attempt.kill("again"), Gone)


async def test_a_task_has_its_time_of_grace_and_is_killed_after_it(tmp_path: Path) -> None:
    async with environment(tmp_path, config={"grace": 0.3}) as opened:
        attempt = opened.attempt(shell(f"trap 'echo asked' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done"))
        await attempt.start()
        await until((tmp_path / "up").exists)
        begun = time.monotonic()

        await attempt.kill_until_gone("enough")

        assert 0.3 <= time.monotonic() - begun < 3
        assert "asked" in Path(attempt.state.log).read_text()
        assert alive(attempt.key) == []


async def test_a_daemon_that_hides_from_everything_is_gone_when_the_task_has_succeeded(tmp_path: Path) -> None:
    status = await run(tmp_path, python(DAEMON))

    assert status.phase is Phase.SUCCESS
    assert not is_running(int((work_of(status) / "daemon").read_text()))


async def test_a_daemon_that_hides_from_everything_is_gone_after_a_kill(tmp_path: Path) -> None:
    async with environment(tmp_path) as opened:
        attempt = opened.attempt(python(DAEMON + "\nwhile True: time.sleep(1)"))
        await attempt.start()
        daemon = Path(attempt.state.log).parent / "daemon"
        await until(lambda: daemon.exists() and daemon.read_text())

        await attempt.kill_until_gone("enough")

        assert not is_running(int(daemon.read_text()))


async def test_a_task_whose_supervisor_was_killed_is_lost_and_its_processes_are_stopped(tmp_path: Path) -> None:
    async with environment(tmp_path) as opened:
        attempt = opened.attempt(shell(f"sleep 100 & touch {tmp_path}/up; wait"))
        await attempt.start()
        await until((tmp_path / "up").exists)
        supervisor, task = claimed(attempt)
        os.kill(supervisor, signal.SIGKILL)

        status = await attempt.run()

        assert status.error is not None
        assert (status.error.code, status.error.kind, status.cleanup) == ("SupervisorLost", ErrorKind.SYSTEM, True)
        assert not is_running(task)
        assert alive(attempt.key) == []


async def test_what_ignores_the_order_to_stop_is_killed_without_a_supervisor_too(tmp_path: Path) -> None:
    async with environment(tmp_path, config={"grace": 0.2}) as opened:
        # The child of Python's subprocess has no lock, the grandchild not even the group: the marker finds it.
        script = (
            "import signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "subprocess.Popen(['sleep', '100'], start_new_session=True); open('up', 'w'); time.sleep(100)"
        )
        attempt = opened.attempt(command(sys.executable, "-c", script))
        await attempt.start()
        await until((Path(attempt.state.log).parent / "up").exists)
        os.kill(claimed(attempt)[0], signal.SIGKILL)
        await until(lambda: not is_running(claimed(attempt)[0]))
        assert len(alive(attempt.key)) == 2

        await attempt.kill_until_gone("enough")

        assert alive(attempt.key) == []


async def test_a_supervisor_that_is_stopped_does_not_keep_a_task_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airscrew.plugins.process.executor.FORCE_MARGIN", 0.2)
    async with environment(tmp_path, config={"grace": 0.2}) as opened:
        attempt = opened.attempt(shell("sleep 100"))
        await attempt.start()
        supervisor, task = claimed(attempt)
        os.kill(supervisor, signal.SIGSTOP)

        await attempt.kill_until_gone("enough")

        assert not is_running(task)
        assert not is_running(supervisor)


async def test_a_task_that_was_killed_with_its_supervisor_is_lost(tmp_path: Path) -> None:
    async with environment(tmp_path) as opened:
        attempt = opened.attempt(shell("sleep 100"))
        await attempt.start()
        supervisor, task = claimed(attempt)
        os.kill(supervisor, signal.SIGKILL)
        os.killpg(task, signal.SIGKILL)
        await until(lambda: not is_running(task) and not is_running(supervisor))

        status = await attempt.run()

        assert status.error is not None
        assert (status.phase, status.error.code) == (Phase.RETRYABLE_FAILURE, "ResourceDeletedExternally")
        assert status.error.kind is ErrorKind.SYSTEM


async def test_a_supervisor_that_others_told_to_stop_makes_it_the_systems_failure(tmp_path: Path) -> None:
    async with environment(tmp_path) as opened:
        attempt = opened.attempt(shell("sleep 100"))
        await attempt.start()
        os.kill(claimed(attempt)[0], signal.SIGTERM)

        status = await attempt.run()

        assert status.error is not None
        assert (status.error.code, status.error.kind) == ("Interrupted", ErrorKind.SYSTEM)


async def test_a_stranger_that_has_got_the_number_of_a_process_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "100"], start_new_session=True)
    try:
        async with environment(tmp_path, config={"grace": 0.0}) as opened:
            attempt = opened.attempt(shell("sleep 100"))
            await attempt.start()
            supervisor, task = claimed(attempt)
            os.kill(supervisor, signal.SIGKILL)
            os.killpg(task, signal.SIGKILL)
            await until(lambda: not is_running(task) and not is_running(supervisor))
            claim = read_claim(attempt.state.place)
            assert claim is not None
            names = [msgspec.structs.replace(name, pid=stranger.pid) for name in (claim.supervisor, claim.task)]
            reused = msgspec.structs.replace(claim, supervisor=names[0], task=names[1])
            Path(attempt.state.place.claim).write_bytes(msgspec.json.encode(reused))

            status = await attempt.check()
            answers = [await attempt.kill("enough") for _ in range(3)]
            await LocalSpawner().stop(attempt.state.place, LocalSpawner().observe(attempt.state.place), by_force=True)

        assert status.error is not None
        assert status.error.code == "ResourceDeletedExternally"
        assert isinstance(answers[-1], Gone)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_an_attempt_that_was_killed_before_its_claim_never_begins(tmp_path: Path) -> None:
    async with environment(tmp_path) as opened:
        attempt = opened.attempt(shell(f"echo run >> {tmp_path}/runs"))
        await attempt.start()
        await until(lambda: runs(tmp_path))
        place = attempt.state.place
        await until(Path(place.clean).exists)
        for name in (place.claim, place.lock, place.status, place.clean):
            Path(name).unlink()

        killed = await attempt.kill("enough")
        preparation = Preparation(
            context=attempt.context(), template=attempt.template, config=Config(), place=attempt.state.place
        )
        late = await LocalSpawner().spawn(await preparation.request())

        with pytest.raises(RetryableError, match="an earlier start of this attempt was refused"):
            await attempt.start()

    assert isinstance(killed, Gone)
    assert late.result == "exists"
    assert runs(tmp_path) == 1


async def test_finalize_removes_what_is_temporary_and_keeps_log_and_claim(tmp_path: Path) -> None:
    status = await run(tmp_path, shell("touch $TMPDIR/left; echo log"))

    assert not Path(status.state.temporary).exists()
    assert Path(status.state.log).read_text() == "log\n"
    assert Path(status.state.place.claim).exists()


async def test_finalize_stops_what_a_supervisor_that_was_killed_at_the_end_has_left(tmp_path: Path) -> None:
    async with environment(tmp_path) as opened:
        attempt = opened.attempt(shell("true"))
        await attempt.start()
        place = attempt.state.place
        await until(Path(place.clean).exists)
        Path(place.clean).unlink()
        markers = {"AIRSCREW_KEY": place.key, "AIRSCREW_ATTEMPT": place.directory}
        stray = subprocess.Popen(["sleep", "100"], env={**os.environ, **markers}, start_new_session=True)

        with pytest.raises(RetryableError, match="processes of sh are left"):
            await attempt.host.executor.finalize(attempt.context(), attempt.state)

        assert stray.wait() == -signal.SIGKILL
        await attempt.finalize()


async def test_a_supervisor_is_no_zombie_of_the_engine(tmp_path: Path) -> None:
    before = children()  # a server that another test's fixture keeps is none of ours

    await run(tmp_path, shell("true"))

    await until(lambda: not children() - before)


async def test_many_tasks_cost_no_threads(tmp_path: Path) -> None:
    async with environment(tmp_path) as opened:
        before = threads()
        attempts = [opened.attempt(shell("sleep 100"), name=f"task-{number}") for number in range(10)]
        for attempt in attempts:
            await attempt.start()
        after = threads()

        for attempt in attempts:
            await attempt.kill_until_gone("enough")

        assert after <= before  # a thread of some library may have ended meanwhile


def test_a_template_without_a_command_is_refused() -> None:
    template = make_template("container", target=Container(image="example.invalid/image:1"))

    with pytest.raises(PermanentError, match=r"the entry point of example.invalid/image:1 is not known here"):
        command_of(template)


def start_engine(folder: Path, name: str, script: str) -> subprocess.Popen[bytes]:
    """Start an engine in a process of its own."""
    arguments = [sys.executable, "-m", "tests.integration.process_engine", str(folder), name, script]
    root = Path(__file__).parents[2]
    paths = [str(root), *(str(root / part) for part in ("engine", "plugins", "state", "idl"))]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=root, env=env)


def state_of(engine: subprocess.Popen[bytes]) -> bytes:
    """Wait for the state that an engine has stored."""
    assert engine.stdout is not None
    return engine.stdout.readline().strip()


def kill_engine(engine: subprocess.Popen[bytes]) -> None:
    """Kill an engine as a crash would."""
    engine.kill()
    engine.wait()
    assert engine.stdout is not None
    engine.stdout.close()
