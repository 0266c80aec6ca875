"""
From what is seen of an attempt to its phase.
"""

from __future__ import annotations

import errno
import signal

import pytest

from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.process.observation import TOMBSTONE, Claim, ExecFailure, ExitStatus, Observation
from airscrew.plugins.process.phases import Verdict, judge
from airscrew.plugins.process.processes import ProcessName

CLAIM = Claim(key="k", supervisor=ProcessName(10, 1), task=ProcessName(11, 2))
DONE = ExitStatus(exit_code=0)


def ended(**status: object) -> Verdict:
    """Judge an attempt whose supervisor came to its end."""
    seen = Observation(claim=CLAIM, status=ExitStatus(**status), is_clean=True)  # type: ignore[arg-type]
    return judge(seen, "train")


def failure(step: str, number: int) -> Verdict:
    """Judge an attempt whose command was never executed."""
    return ended(exit_code=127, exec_error=ExecFailure(step, number, "text"))


@pytest.mark.parametrize(
    ("seen", "phase", "code"),
    [
        (Observation(claim=CLAIM, is_locked=True, is_supervised=True), Phase.RUNNING, ""),
        (Observation(claim=CLAIM, is_locked=True), Phase.RETRYABLE_FAILURE, "SupervisorLost"),
        (Observation(claim=CLAIM, is_locked=True, is_same_boot=False), Phase.RUNNING, ""),
        (Observation(claim=CLAIM, status=DONE, is_locked=True, is_supervised=True), Phase.RUNNING, ""),
        (Observation(claim=CLAIM, status=DONE, is_locked=True), Phase.SUCCESS, ""),
        (Observation(claim=CLAIM, status=DONE), Phase.SUCCESS, ""),
        (Observation(claim=CLAIM, status=DONE, is_same_boot=False), Phase.SUCCESS, ""),
        (Observation(claim=CLAIM), Phase.RETRYABLE_FAILURE, "ResourceDeletedExternally"),
        (Observation(claim=CLAIM, is_same_boot=False), Phase.RETRYABLE_FAILURE, "ProcessLost"),
        (Observation(), Phase.RETRYABLE_FAILURE, "ProcessLost"),
        (Observation(is_locked=True), Phase.RUNNING, ""),
        (Observation(claim=Claim(kind=TOMBSTONE)), Phase.RETRYABLE_FAILURE, "StartForbidden"),
    ],
)
def test_lock_claim_and_status_give_the_phase(seen: Observation, phase: Phase, code: str) -> None:
    verdict = judge(seen, "train")

    assert (verdict.phase, verdict.code) == (phase, code)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ({"exit_code": 7}, "ExitCode:7", ErrorKind.USER),
        ({"exit_code": 143}, "ExitCode:143", ErrorKind.USER),
        ({"exit_code": 137}, "Interrupted", ErrorKind.SYSTEM),
        ({"exit_code": 247}, "Interrupted", ErrorKind.SYSTEM),
        ({"exit_code": 241}, "Interrupted", ErrorKind.SYSTEM),
        ({"signal": signal.SIGKILL}, "Interrupted", ErrorKind.SYSTEM),
        ({"signal": signal.SIGTERM}, "Interrupted", ErrorKind.SYSTEM),
        ({"signal": signal.SIGSEGV}, "Signal:SIGSEGV", ErrorKind.USER),
        ({"signal": 61}, "Signal:signal 61", ErrorKind.USER),
        ({"signal": signal.SIGKILL, "oom_kills": 1}, "OOMKilled", ErrorKind.USER),
        ({"exit_code": 137, "oom_kills": 1}, "OOMKilled", ErrorKind.USER),
        ({"exit_code": 1, "oom_kills": 1}, "ExitCode:1", ErrorKind.USER),
        ({"exit_code": 0, "terminated": True}, "Interrupted", ErrorKind.SYSTEM),
    ],
)
def test_a_bad_end_may_be_retried_on_the_account_of_who_caused_it(
    status: dict[str, object], code: str, kind: ErrorKind
) -> None:
    verdict = ended(**status)

    assert (verdict.phase, verdict.code, verdict.kind) == (Phase.RETRYABLE_FAILURE, code, kind)
    assert verdict.reason.startswith("train ")


@pytest.mark.parametrize(
    ("verdict", "phase", "code"),
    [
        (failure("its command", errno.ENOENT), Phase.PERMANENT_FAILURE, "CommandNotFound"),
        (failure("its command", errno.EACCES), Phase.PERMANENT_FAILURE, "CommandNotExecutable"),
        (failure("its command", errno.ENOEXEC), Phase.PERMANENT_FAILURE, "CommandNotExecutable"),
        (failure("its command", errno.E2BIG), Phase.PERMANENT_FAILURE, "ArgumentsTooLong"),
        (failure("its command", errno.EAGAIN), Phase.RETRYABLE_FAILURE, "StartFailed"),
        (failure("its working directory", errno.ENOENT), Phase.RETRYABLE_FAILURE, "StartFailed"),
    ],
)
def test_a_command_that_was_never_executed_is_told_by_the_reason(verdict: Verdict, phase: Phase, code: str) -> None:
    assert (verdict.phase, verdict.code) == (phase, code)


def test_only_what_may_have_left_processes_is_to_be_cleaned_up() -> None:
    lost = judge(Observation(claim=CLAIM), "train")
    orphaned = judge(Observation(claim=CLAIM, is_locked=True), "train")

    assert lost.cleanup
    assert orphaned.cleanup
    assert not ended(exit_code=1).cleanup
