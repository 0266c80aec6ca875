"""
The supervisor of one attempt: claims it, runs its task, writes down how it ended, and leaves nothing behind.

Guarantees:

1. For one control directory, at most one task is ever executed: the claim file is created exclusively, under the
   lock, and is on the disk before the task begins. Whoever comes second changes nothing.
2. As long as anything of the attempt may be alive, the lock is held: by this process, and by the task and whoever
   inherits its file descriptors if this process is killed.
3. The exit status is on the disk before the lock is free: a claim without one and a free lock are a lost attempt.
   On a full disk it waits for room.
4. After a regular end every process that descends from the task is gone, daemons too: this process is their
   subreaper and ends only when it has no children left. The file ``clean`` says so.
5. No value of the environment, and no secret, is written to a disk or stands in an argument of this process.

It is run as ``python -I -S supervisor.py`` and MUST import the standard library alone, little of it, to start in a few
milliseconds. Descriptor 0 is a socket to the engine: a JSON line with the request comes in, one with the answer goes
out, and from then on the two know each other by files, signals and the lock.
"""

# ruff: noqa: PTH102, PTH103, PTH104, PTH108, PTH106, PTH110, PTH116, PTH120, PTH123, PTH208

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import resource
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Json = dict[str, Any]

CLAIM, LOCK, STATUS, CLEAN = "claim.json", "lock", "status.json", "clean"
LOCK_PATIENCE, SWEEP_PAUSE, TRIM_PAUSE, DISK_PAUSE = 10.0, 0.02, 1.0, 0.25
DISK_MAY_MEND = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}
PR_SET_CHILD_SUBREAPER = 36
PARENT, START = 1, 19
HEARD = {signal.SIGCHLD, signal.SIGTERM}


def main() -> None:
    """Serve one request from the engine."""
    if os.fork():
        os._exit(0)  # the engine reaps this one at once; the supervisor belongs to nobody
    os.setsid()
    os.closerange(3, 1 << 16)  # what some library of the engine's has left inheritable
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    request = read_request()
    lock = take_attempt(request["directory"])
    if lock is None:
        answer(request["directory"], "exists")
        return
    task = Task(request, lock)
    try:
        task.begin()
    except OSError as error:
        remove_secrets(request)
        answer(request["directory"], "refused", str(error))
        return
    answer(request["directory"], "started")
    try:
        task.attend()
        task.end()
    finally:
        end_descendants()
        remove_secrets(request)
        insist(lambda: os.close(os.open(f"{request['directory']}/{CLEAN}", os.O_WRONLY | os.O_CREAT, 0o600)))


def read_request() -> Json:
    """Read the engine's line; when the engine dies in its middle nothing has happened yet."""
    data = b""
    while not data.endswith(b"\n"):
        chunk = os.read(0, 1 << 16)
        if not chunk:
            os._exit(1)
        data += chunk
    request: Json = json.loads(data)
    return request


def answer(directory: str, result: str, text: str = "") -> None:
    """Tell the engine how it went, whether or not it is still there, and let go of it."""
    reply = {"result": result, "claim": read_json(f"{directory}/{CLAIM}"), "text": text}
    with contextlib.suppress(OSError):
        os.write(0, json.dumps(reply).encode() + b"\n")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def take_attempt(directory: str) -> int | None:
    """Take the attempt's lock; None when somebody has claimed the attempt. A look at the lock takes it for a moment."""
    lock = os.open(f"{directory}/{LOCK}", os.O_RDWR | os.O_CREAT, 0o600)
    end = time.monotonic() + LOCK_PATIENCE
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None if os.path.exists(f"{directory}/{CLAIM}") else lock
        if read_json(f"{directory}/{CLAIM}") is not None:
            return None
        if time.monotonic() > end:
            os._exit(1)
        time.sleep(0.002)


class Task:
    """The task of the attempt, from its claim to its last descendant."""

    def __init__(self, request: Json, lock: int) -> None:
        self.request = request
        self.directory: str = request["directory"]
        self.lock = lock
        self.pid = 0
        self.started_at = 0.0
        self.exec_error: Json | None = None
        self.kill_at: float | None = None
        self.log_limit: int = request["log_limit"] or 0
        self.oom_kills = count_oom_kills()

    def begin(self) -> None:
        """Claim the attempt and execute the task; the child waits at a gate until the claim is on the disk."""
        become_subreaper()
        write_secrets(self.request)
        gate, open_gate = os.pipe()
        failure, tell_failure = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(open_gate)
            os.close(failure)
            execute(self.request, self.lock, gate, tell_failure)
        os.close(gate)
        os.close(tell_failure)
        self.started_at = time.time()
        write_claim(self.request, self.pid)
        with contextlib.suppress(BrokenPipeError):
            os.write(open_gate, b"g")
        told = os.read(failure, 4096)
        self.exec_error = json.loads(told) if told else None
        os.close(open_gate)
        os.close(failure)
        del self.request["env"], self.request["secret_files"]

    def attend(self) -> None:
        """Wait for the task's end, and pass on the order to stop."""
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                if ended.si_pid == self.pid:
                    return
                os.waitpid(ended.si_pid, 0)
                continue
            self.listen()
            if self.kill_at is not None and time.monotonic() >= self.kill_at:
                self.kill_group(signal.SIGKILL)
                self.kill_at = time.monotonic() + 1.0
            if self.log_limit:
                trim(self.request["log"], self.log_limit)

    def listen(self) -> None:
        """Wait for a signal, or until there is something to do; the first SIGTERM begins the time of grace."""
        pauses = [TRIM_PAUSE] if self.log_limit else []
        if self.kill_at is not None:
            pauses.append(max(0.0, self.kill_at - time.monotonic()))
        heard = signal.sigtimedwait(HEARD, min(pauses)) if pauses else signal.sigwaitinfo(HEARD)
        if heard is not None and heard.si_signo == signal.SIGTERM and self.kill_at is None:
            self.kill_at = time.monotonic() + float(self.request["grace"])
            self.kill_group(signal.SIGTERM)

    def kill_group(self, number: int) -> None:
        """Signal the task's group; its number cannot belong to others while the task is not reaped."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def end(self) -> None:
        """End the rest of the group and write the status."""
        self.kill_group(signal.SIGKILL)
        _, wait_status, usage = os.wait4(self.pid, 0)
        code = os.waitstatus_to_exitcode(wait_status)
        status = {
            "exit_code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "exec_error": self.exec_error,
            "terminated": self.kill_at is not None,
            "oom_kills": count_oom_kills() - self.oom_kills,
            "started_at": self.started_at,
            "ended_at": time.time(),
            "user_seconds": usage.ru_utime,
            "system_seconds": usage.ru_stime,
            "max_rss_kib": usage.ru_maxrss,
        }
        insist(lambda: replace_json(f"{self.directory}/{STATUS}", status))


def execute(request: Json, lock: int, gate: int, tell_failure: int) -> None:
    """Become the task. Runs in the child and does not return."""
    step = "its working directory"
    try:
        os.setsid()
        redirect(request["log"])
        os.chdir(request["cwd"])
        prefer_for_oom(request["oom_score_raise"])
        os.set_inheritable(lock, True)
        reset_signals()
        if os.read(gate, 1) != b"g":
            os._exit(1)
        step = "its limits"
        for name, value in request["rlimits"].items():
            set_limit(name, value)
        step = "its command"
        os.execve(request["executable"], request["argv"], request["env"])  # noqa: S606 - this is what it is for
    except (OSError, ValueError) as error:
        failure = {"step": step, "errno": getattr(error, "errno", 0) or 0, "text": str(error)}
        os.write(tell_failure, json.dumps(failure).encode()[:4096])
    finally:
        os._exit(127)


def redirect(log: str) -> None:
    """Read from nothing and write both streams to the log."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)


def set_limit(name: str, value: int) -> None:
    """Set both bounds of a limit, never above the hard one that holds already."""
    number = getattr(resource, f"RLIMIT_{name.upper()}")
    hard = resource.getrlimit(number)[1]
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(number, (bound, bound))


def prefer_for_oom(points: int) -> None:
    """Let the kernel take the task before the engine when memory runs out."""
    with contextlib.suppress(OSError, ValueError):
        now = int(read_text("/proc/self/oom_score_adj"))
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(min(1000, now + points)))


def reset_signals() -> None:
    """Undo what Python and the supervisor did to signals: a task starts with none blocked or ignored."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def become_subreaper() -> None:
    """Have orphaned descendants become children of this process instead of leaving its sight."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def end_descendants() -> None:
    """Kill children, and those that become children when their parents die, until there are none."""
    pause = SWEEP_PAUSE
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        for pid in children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, pause)
        pause = min(1.0, pause * 1.5)


def children() -> list[int]:
    """List the children of this process."""
    me = os.getpid()
    try:
        return [int(pid) for pid in read_text(f"/proc/self/task/{me}/children").split()]
    except OSError:
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if stat_number(pid, PARENT) == me]


def stat_number(pid: int, index: int) -> int:
    """Read a number of ``/proc/PID/stat``, counted from the state on; 0 when the process is gone."""
    try:
        fields = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()  # the name before it may hold anything
        return int(fields[index])
    except OSError:
        return 0


def count_oom_kills() -> int:
    """Count the kernel's kills for memory so far, in this control group if it counts them, else on the machine."""
    try:
        group = read_text("/proc/self/cgroup").rpartition("::")[2].strip()
        events = f"/sys/fs/cgroup{group}/memory.events"
        lines = read_text(events if os.path.exists(events) else "/proc/vmstat").splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("oom_kill ")))
    except (OSError, ValueError, StopIteration):
        return 0


def write_claim(request: Json, task_pid: int) -> None:
    """Create the claim, and return when it is on the disk."""
    claim = {
        "key": request["key"],
        "boot_id": read_text("/proc/sys/kernel/random/boot_id").strip(),
        "supervisor": {"pid": os.getpid(), "start": stat_number(os.getpid(), START)},
        "task": {"pid": task_pid, "start": stat_number(task_pid, START)},
        "digest": request["digest"],
    }
    path = f"{request['directory']}/{CLAIM}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_whole(descriptor, json.dumps(claim).encode())
        sync_directory(request["directory"])
    except OSError:
        os.unlink(path)  # the gate is shut and the lock is held: nothing has begun, nobody else can have
        raise


def write_secrets(request: Json) -> None:
    """Write secrets that are wanted as files to a file system in memory, for this user alone."""
    folder = request["secret_directory"]
    if folder:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        if os.lstat(folder).st_uid != os.geteuid():
            raise PermissionError(f"{folder} belongs to another user")
    for path, value in request["secret_files"].items():
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        write_whole(descriptor, value.encode())


def remove_secrets(request: Json) -> None:
    """Remove what ``write_secrets`` has written."""
    with contextlib.suppress(OSError):
        for folder, _, names in os.walk(request["secret_directory"], topdown=False):
            for name in names:
                os.unlink(f"{folder}/{name}")
            os.rmdir(folder)


def trim(log: str, limit: int) -> None:
    """Keep the log within its limit: its older half moves to ``<log>.1``, and what was there is dropped."""
    with contextlib.suppress(OSError):
        if os.stat(log).st_size <= limit // 2:
            return
        with open(log, "rb") as now, open(f"{log}.1", "wb") as older:
            while chunk := now.read(1 << 20):
                older.write(chunk)
        os.truncate(log, 0)


def read_text(path: str) -> str:
    """Read a file of the kernel's."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def read_json(path: str) -> Json | None:
    """Read a JSON object; None when there is none yet."""
    with contextlib.suppress(OSError, ValueError):
        value: Json = json.loads(read_text(path))
        return value
    return None


def replace_json(path: str, value: Json) -> None:
    """Write a file that is there wholly or not at all."""
    write_whole(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), json.dumps(value).encode())
    os.rename(f"{path}.new", path)
    sync_directory(os.path.dirname(path))


def insist(write: Callable[[], None]) -> None:
    """Try again for as long as the disk is full: a task whose end is not written down would be run again."""
    while True:
        try:
            return write()
        except OSError as error:
            if error.errno not in DISK_MAY_MEND:
                raise
        time.sleep(DISK_PAUSE)


def write_whole(descriptor: int, data: bytes) -> None:
    """Write all, to the disk, and close; a disk that fills up takes a part of it without a word."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: str) -> None:
    """Have a directory's entries on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


if __name__ == "__main__":
    main()
