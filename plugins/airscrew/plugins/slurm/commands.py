"""
The words of Slurm's commands. Pure.

Each command is under ``timeout``: one that nobody waits for any more, be it for a crash of the engine or a broken
connection, ends by itself, and so it is known until when a job may still be made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airscrew.plugins.slurm.config import Cluster

LISTED = ("jobid", "name", "state", "exit_code", "reason", "stdout")
ACCOUNTED = ("JobIDRaw", "JobName", "State", "ExitCode", "Reason")
SINCE = "now-30days"
"""How far back the accounting is searched for an attempt's key."""

STDIN = "/dev/stdin"


def submit(cluster: Cluster, options: Sequence[str], words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """
    Make a job, and print its number.

    Args:
        cluster: Where.
        options: Of ``sbatch``, each one word.
        words: The script's path on the cluster, or ``STDIN``, and its arguments.
        environment: Variables for the job.
    """
    return [*_begin(cluster, "sbatch", environment), "--parsable", *options, "--", *words]


def list_jobs(cluster: Cluster, ids: Sequence[str]) -> list[str]:
    """List what the controller remembers of jobs."""
    return [*_squeue(cluster), f"--jobs={','.join(ids)}"]


def list_named(cluster: Cluster, key: str) -> list[str]:
    """List the jobs of a name that the controller remembers."""
    return [*_squeue(cluster), f"--name={key}"]


def account_jobs(cluster: Cluster, ids: Sequence[str]) -> list[str]:
    """List what the accounting has of jobs."""
    return [*_sacct(cluster), f"--jobs={','.join(ids)}"]


def account_named(cluster: Cluster, key: str) -> list[str]:
    """List the jobs of a name that the accounting has."""
    return [*_sacct(cluster), f"--name={key}", f"--starttime={SINCE}"]


def cancel(cluster: Cluster, job_id: str, key: str) -> list[str]:
    """Stop a job, if it has that name: numbers may begin again when a cluster is set up anew."""
    return [*_begin(cluster, "scancel"), f"--name={key}", job_id]


def _squeue(cluster: Cluster) -> list[str]:
    columns = ",".join(f"{column}:|" for column in LISTED)
    return [*_begin(cluster, "squeue"), "--noheader", "--states=all", f"--Format={columns}"]


def _sacct(cluster: Cluster) -> list[str]:
    columns = ",".join(ACCOUNTED)
    return [*_begin(cluster, "sacct"), "--allocations", "--noheader", "--parsable2", f"--format={columns}"]


def _begin(cluster: Cluster, command: str, more: Mapping[str, str] | None = None) -> list[str]:
    variables = {"LC_ALL": "C.UTF-8", **(more or {}), **cluster.environment}
    program = f"{cluster.path.rstrip('/')}/{command}" if cluster.path else command
    limit = ["timeout", "--kill-after=2", f"{cluster.timeout:g}"]
    return [*limit, "env", *(f"{name}={value}" for name, value in variables.items()), program]
