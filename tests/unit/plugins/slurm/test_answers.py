"""
What Slurm's commands say, as Slurm 22.05 has said it.
"""

from __future__ import annotations

import pytest

from airscrew.plugins.slurm.answers import complaint, read_accounted, read_listed, read_submitted
from airscrew.plugins.slurm.shell import Finished
from airscrew.plugins.slurm.state import JobView
from airscrew.plugins.webapi import (
    DeniedError,
    ProviderError,
    RefusedError,
    ThrottledError,
    UnclearError,
    UnreachableError,
)


@pytest.mark.parametrize("printed", ["17\n", "17;cluster-2\n"])
def test_the_number_of_a_new_job_is_read(printed: str) -> None:
    assert read_submitted(Finished(0, printed)) == "17"


@pytest.mark.parametrize("printed", ["", "Submitted batch job 17\n", "17\n18\n", "<html>"])
def test_an_answer_without_a_number_is_no_proof_that_there_is_no_job(printed: str) -> None:
    with pytest.raises(UnclearError, match="sbatch answered"):
        read_submitted(Finished(0, printed))


def test_a_name_with_bars_in_the_last_column_does_not_shift_the_others() -> None:
    line = "7|key|RUNNING|0|None|/home/a|b/slurm-7.out|\n"

    (row,) = read_listed(Finished(0, line))

    assert (row.id, row.key) == ("7", "key")
    assert row.view == JobView(status="RUNNING", output="/home/a|b/slurm-7.out")


@pytest.mark.parametrize(
    ("raw", "exit_code", "signal"), [("0", 0, 0), ("768", 3, 0), ("9", 0, 9), ("15", 0, 15), ("125", 0, 125)]
)
def test_the_queue_has_what_wait_says(raw: str, exit_code: int, signal: int) -> None:
    (row,) = read_listed(Finished(0, f"7|key|FAILED|{raw}|NonZeroExitCode|/out|\n"))

    assert (row.view.exit_code, row.view.signal) == (exit_code, signal)


@pytest.mark.parametrize(
    ("line", "view"),
    [
        ("7|key|FAILED|3:0|None", JobView(status="FAILED", exit_code=3)),
        ("7|key|OUT_OF_MEMORY|0:125|None", JobView(status="OUT_OF_MEMORY", signal=125)),
        ("7|key|TIMEOUT|0:0|None", JobView(status="TIMEOUT")),
        ("7|key|PREEMPTED|0:0|None", JobView(status="PREEMPTED")),
        ("7|key|CANCELLED by 1000|0:0|None", JobView(status="CANCELLED", reason="by 1000")),
        ("7|key|PENDING|0:0|Resources", JobView(status="PENDING", reason="Resources")),
    ],
)
def test_the_accounting_has_code_and_signal_and_who_cancelled(line: str, view: JobView) -> None:
    (row,) = read_accounted(Finished(0, f"{line}\n"))

    assert row.view == view


def test_no_job_of_those_asked_for_is_no_failure() -> None:
    assert read_listed(Finished(1, "", "slurm_load_jobs error: Invalid job id specified\n")) == []
    assert read_listed(Finished(0, "")) == []
    assert read_accounted(Finished(0, "")) == []


@pytest.mark.parametrize("line", ["nonsense", "7|key|RUNNING", "x|key|RUNNING|0|None|/out|", "7+0|k|FAILED|0:1|None"])
def test_a_line_that_is_none_is_told_and_not_guessed_at(line: str) -> None:
    with pytest.raises(UnclearError, match="squeue answered"):
        read_listed(Finished(0, line))
    with pytest.raises(UnclearError, match="sacct answered"):
        read_accounted(Finished(0, line))


def fails(err: str, code: int = 1) -> ProviderError:
    return complaint("sbatch", Finished(code, "", err))


@pytest.mark.parametrize(
    ("kind", "err"),
    [
        (UnreachableError, "sbatch: error: Unable to contact slurm controller (connect failure)"),
        (UnreachableError, "sbatch: error: If munged is up, restart with --num-threads=10\nMunge encode failed: no"),
        (ThrottledError, "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: limit"),
        (ThrottledError, "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying"),
        (DeniedError, "sbatch: error: Batch job submission failed: Access/permission denied"),
        (RefusedError, "sbatch: error: invalid partition specified: nosuch"),
        (RefusedError, "sbatch: unrecognized option '--no-such-option'"),
        (UnclearError, "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"),
        (UnclearError, "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received"),
        (UnclearError, ""),
    ],
)
def test_a_complaint_says_whether_a_job_may_exist(kind: type[ProviderError], err: str) -> None:
    assert type(fails(err)) is kind


@pytest.mark.parametrize("code", [124, 137, -9])
def test_a_command_that_was_ended_may_have_done_its_work(code: int) -> None:
    assert type(fails("sbatch: error: something", code)) is UnclearError


def test_commands_that_are_not_there_name_the_way_out() -> None:
    error = fails("env: 'sbatch': No such file or directory", 127)

    assert type(error) is UnreachableError
    assert "executors.slurm.clusters.<name>.path" in str(error)


def test_a_long_complaint_is_cut() -> None:
    assert len(str(fails("x" * 5000))) < 400
