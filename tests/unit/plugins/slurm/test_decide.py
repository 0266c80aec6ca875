"""
From Slurm's word for a job to the status of the attempt.
"""

from __future__ import annotations

import pytest

from airscrew.engine.executor import OutputsAt
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.slurm.decide import FAILURES, UnknownStatusError, decide, is_over, remember
from airscrew.plugins.slurm.state import JobView, SlurmState

STATE = SlurmState(id="7", created_at=0.0, cluster="c", key="key")
RETRYABLE, PERMANENT = Phase.RETRYABLE_FAILURE, Phase.PERMANENT_FAILURE
USER, SYSTEM = ErrorKind.USER, ErrorKind.SYSTEM


@pytest.mark.parametrize(
    ("word", "phase"),
    [
        ("", Phase.QUEUED),
        ("PENDING", Phase.QUEUED),
        ("REQUEUED", Phase.QUEUED),
        ("CONFIGURING", Phase.INITIALIZING),
        ("RUNNING", Phase.RUNNING),
        ("COMPLETING", Phase.RUNNING),
        ("SUSPENDED", Phase.RUNNING),
        ("COMPLETED", Phase.SUCCESS),
    ],
)
def test_a_job_that_goes_well(word: str, phase: Phase) -> None:
    assert decide(STATE, JobView(status=word)).phase is phase


ENDS = [
    ("FAILED", RETRYABLE, "JobFailed", USER),
    ("TIMEOUT", RETRYABLE, "TimeLimit", USER),
    ("OUT_OF_MEMORY", RETRYABLE, "OOMKilled", USER),
    ("DEADLINE", PERMANENT, "DeadlineExceeded", USER),
    ("NODE_FAIL", RETRYABLE, "NodeFailed", SYSTEM),
    ("BOOT_FAIL", RETRYABLE, "NodeFailed", SYSTEM),
    ("LAUNCH_FAILED", RETRYABLE, "LaunchFailed", SYSTEM),
    ("RECONFIG_FAIL", RETRYABLE, "NodeFailed", SYSTEM),
    ("PREEMPTED", RETRYABLE, "Preempted", SYSTEM),
    ("REVOKED", RETRYABLE, "Revoked", SYSTEM),
    ("CANCELLED", RETRYABLE, "ResourceDeletedExternally", SYSTEM),
]


@pytest.mark.parametrize(("word", "phase", "code", "kind"), ENDS)
def test_an_end_that_is_no_success_says_whose_it_is(word: str, phase: Phase, code: str, kind: ErrorKind) -> None:
    status = decide(STATE, JobView(status=word))

    assert status.error is not None
    assert (status.phase, status.error.code, status.error.kind) == (phase, code, kind)
    assert "job 7 of c" in status.error.message
    assert is_over(JobView(status=word))


def test_every_end_that_is_known_is_told_of_above() -> None:
    assert {end[0] for end in ENDS} == set(FAILURES)


def test_a_failure_for_the_node_s_sake_is_the_systems() -> None:
    status = decide(STATE, JobView(status="FAILED", reason="NodeDown", signal=9))

    assert status.error is not None
    assert (status.error.code, status.error.kind) == ("NodeFailed", SYSTEM)


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (JobView(status="FAILED", exit_code=3), "failed with exit code 3"),
        (JobView(status="FAILED", signal=9), "failed by signal 9"),
        (JobView(status="FAILED", exit_code=1, reason="NonZeroExitCode"), "failed with exit code 1"),
        (JobView(status="TIMEOUT", signal=15, reason="TimeLimit"), "ran into its time limit (TimeLimit)"),
        (JobView(status="OUT_OF_MEMORY", signal=125), "used more memory than it asked for"),
        (JobView(status="CANCELLED", reason="by 1000"), "was cancelled, and not by this engine (by 1000)"),
        (JobView(status="FAILED", output="/o/slurm-7.out"), "failed; what it printed is in /o/slurm-7.out"),
    ],
)
def test_a_failure_is_told_in_one_line(view: JobView, words: str) -> None:
    status = decide(STATE, view)

    assert status.reason.removeprefix("job 7 of c ") == words


def test_a_word_that_is_not_known_is_neither_success_nor_failure() -> None:
    with pytest.raises(UnknownStatusError, match="'SHINY'"):
        decide(STATE, JobView(status="SHINY"))
    assert not is_over(JobView(status="SHINY"))


def test_the_file_of_the_output_is_remembered_when_the_accounting_has_none() -> None:
    state = remember(STATE, JobView(status="RUNNING", output="/out"))

    assert remember(state, JobView(status="COMPLETED")).view == JobView(status="COMPLETED", output="/out")
    assert remember(state, state.view) is state


@pytest.mark.parametrize("has_outputs", [True, False])
def test_outputs_are_looked_for_where_they_belong(has_outputs: bool) -> None:
    state = SlurmState(id="7", created_at=0.0, cluster="c", key="k", output_prefix="file:///o", has_outputs=has_outputs)

    status = decide(state, JobView(status="COMPLETED"))

    assert status.outputs == OutputsAt("file:///o", missing_is_success=not has_outputs)
    assert decide(STATE, JobView(status="COMPLETED")).outputs is None
