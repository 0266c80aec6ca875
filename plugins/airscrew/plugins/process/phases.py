"""
From what can be seen of an attempt to its phase. Pure.

    lock     status   supervisor          phase
    held     none     alive               Running
    held     none     gone                RetryableFailure SYSTEM SupervisorLost, with cleanup: nobody would ever
                                          learn how the task ends, so it is stopped now and not in an hour
    held     none     on another machine  Running
    held     written  alive               Running: what the task has left is being stopped
    any      written  gone                by the status, see ``_ended``
    free     none     any                 RetryableFailure SYSTEM ResourceDeletedExternally, with cleanup; ProcessLost
                                          after a restart of the machine

A status is judged in the manner of FlytePropeller: exit code 0 is a success (what lies at the output prefix still
decides), SIGKILL by somebody else (137 and 247 of a shell) is the SYSTEM's failure ``Interrupted``, a kill for memory
is the USER's ``OOMKilled``, every other exit code is the USER's and may be retried.
"""

from __future__ import annotations

import errno
import signal
from dataclasses import dataclass

from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.process.observation import TOMBSTONE, Claim, ExecFailure, ExitStatus, Observation

KILLED_CODES = frozenset({137, 247})
"""Exit codes by which a shell (128 + 9) or ``pyflyte-fast-execute`` (256 - 9) says that its child was killed."""

STOPPED_CODE = 241
"""The exit code by which ``pyflyte-fast-execute`` says that its child was stopped by SIGTERM (256 - 15)."""

_STOPPED = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_NO_COMMAND = frozenset({errno.ENOENT, errno.ENOTDIR})
_BAD_COMMAND = frozenset({errno.EACCES, errno.ENOEXEC, errno.ELIBBAD, errno.EPERM, errno.EISDIR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    A phase with its reason.

    Attributes:
        phase: Running, Success or one of the failures.
        reason: One line for people.
        code: A short stable word, with a failure.
        kind: Whose failure it is.
        cleanup: With a failure: processes may be left.
        quotes_log: Whether the end of the log helps to understand it.
        is_ending: Whether the end is a matter of moments.
    """

    phase: Phase
    reason: str = ""
    code: str = ""
    kind: ErrorKind = ErrorKind.USER
    cleanup: bool = False
    quotes_log: bool = False
    is_ending: bool = False


def judge(seen: Observation, command: str) -> Verdict:
    """Say how an attempt stands that was started once; ``command`` is what messages call the task."""
    claim, status = seen.claim, seen.status
    if claim is not None and claim.kind == TOMBSTONE:
        return _system("StartForbidden", "it was stopped before it began")
    if status is not None and not (seen.is_locked and seen.is_supervised):
        return _ended(status, command)
    if not seen.is_locked:
        return _lost(seen)
    if status is not None:
        return Verdict(phase=Phase.RUNNING, reason="it has ended; what it left is being stopped", is_ending=True)
    if claim is None:
        return Verdict(phase=Phase.RUNNING, reason="it is being started", is_ending=True)
    if not seen.is_same_boot:
        return Verdict(phase=Phase.RUNNING, reason="its lock is held from another machine or another boot")
    if not seen.is_supervised:
        return _system(
            "SupervisorLost", f"{_supervisor(claim)} was killed, so nobody would learn how the task ends", cleanup=True
        )
    return Verdict(phase=Phase.RUNNING, reason=f"process {claim.task.pid}")


def _lost(seen: Observation) -> Verdict:
    if seen.claim is None:
        return _system("ProcessLost", "it was never claimed: whoever started it died at once", cleanup=True)
    if not seen.is_same_boot:
        return _system("ProcessLost", "the machine was restarted while it ran", cleanup=True)
    reason = f"{_supervisor(seen.claim)} and the task were killed before its end was written down"
    return _system("ResourceDeletedExternally", reason, cleanup=True)


def _ended(status: ExitStatus, command: str) -> Verdict:
    if status.exec_error is not None:
        return _not_executed(status.exec_error, command)
    if status.terminated:
        return _system("Interrupted", f"{command} was told to stop by somebody else than the engine")
    if status.exit_code == 0:
        return Verdict(phase=Phase.SUCCESS, reason="it exited with code 0")
    was_killed = status.signal == signal.SIGKILL or status.exit_code in KILLED_CODES
    if was_killed and status.oom_kills:
        text = f"{command} was killed because memory ran out (it had used {status.max_rss_kib // 1024} MiB)"
        return _user("OOMKilled", text)
    if status.signal is not None:
        name = _signal_name(status.signal)
        if status.signal in _STOPPED:
            return _system("Interrupted", f"{command} was stopped by {name} from outside", quotes_log=True)
        return _user(f"Signal:{name}", f"{command} was ended by {name}")
    if was_killed or status.exit_code == STOPPED_CODE:
        text = f"{command} was stopped from outside (exit code {status.exit_code})"
        return _system("Interrupted", text, quotes_log=True)
    return _user(f"ExitCode:{status.exit_code}", f"{command} exited with code {status.exit_code}")


def _not_executed(failure: ExecFailure, command: str) -> Verdict:
    if failure.step == "its command" and failure.errno in _NO_COMMAND:
        return _permanent("CommandNotFound", command_not_found(command))
    if failure.step == "its command" and failure.errno in _BAD_COMMAND:
        text = f"{command} cannot be executed: {failure.text}: check its permissions and its first line"
        return _permanent("CommandNotExecutable", text)
    if failure.errno == errno.E2BIG:
        text = f"the arguments and variables of {command} are too long for the system: pass large values as files"
        return _permanent("ArgumentsTooLong", text)
    return _system("StartFailed", f"{command} could not be started ({failure.step}): {failure.text}")


def command_not_found(command: str) -> str:
    """Say that a command is not on this machine, and what to do."""
    return (
        f"command {command!r} was not found: tasks run on this machine, not in their image; install it here, or name "
        "its folder in executors.process.path"
    )


def _supervisor(claim: Claim) -> str:
    return f"its supervisor (process {claim.supervisor.pid})" if claim.supervisor.pid else "its supervisor"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _system(code: str, reason: str, *, cleanup: bool = False, quotes_log: bool = False) -> Verdict:
    return Verdict(
        phase=Phase.RETRYABLE_FAILURE,
        reason=reason,
        code=code,
        kind=ErrorKind.SYSTEM,
        cleanup=cleanup,
        quotes_log=quotes_log,
    )


def _user(code: str, reason: str) -> Verdict:
    return Verdict(phase=Phase.RETRYABLE_FAILURE, reason=reason, code=code, quotes_log=True)


def _permanent(code: str, reason: str) -> Verdict:
    return Verdict(phase=Phase.PERMANENT_FAILURE, reason=reason, code=code)
