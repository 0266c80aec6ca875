"""
One cluster as a plugin of the WebAPI framework: single commands, and what they answer.

The name of a job is its attempt's key, and a number counts as ours only under that name. What the controller has
forgotten is asked of the accounting; where there is none, an absence says nothing once the controller may have
forgotten, and is then an error for an operator to look at, never a reason to start again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from typing_extensions import override

from airscrew.engine.errors import ExecutorError
from airscrew.engine.executor import Findable, StartDeclaration, TaskContext, TaskStatus
from airscrew.idl.phase import LogLink
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.slurm import commands
from airscrew.plugins.slurm.answers import Row, complaint, read_accounted, read_listed, read_submitted
from airscrew.plugins.slurm.config import Cluster
from airscrew.plugins.slurm.decide import decide, is_over
from airscrew.plugins.slurm.request import FUNCTION_TYPE, Submission, build_submission, read_custom
from airscrew.plugins.slurm.shell import Finished, LocalShell, Shell
from airscrew.plugins.slurm.ssh import PRIVATE_KEY, SshShell
from airscrew.plugins.slurm.state import JobView, SlurmState
from airscrew.plugins.webapi import (
    Created,
    Limits,
    Listed,
    Opening,
    Prepared,
    SecretRef,
    Vault,
    WebApiPlugin,
)
from airscrew.plugins.webapi.note import read_note

Context = TaskContext[SlurmState]
OpenShell = Callable[[Cluster, Vault], Shell]


def open_shell(cluster: Cluster, vault: Vault) -> Shell:
    """Choose the way to a cluster: over SSH when it has a host."""
    return SshShell(cluster, vault) if cluster.host else LocalShell()


class SlurmPlugin(WebApiPlugin[SlurmState, JobView]):
    """
    One cluster.

    Args:
        name: What the configuration calls it.
        cluster: Its configuration.
        settle: When a job that was asked for is seen, for all clusters.
        open_shell: Opens the way to it.
    """

    id = "slurm"
    task_types = ("slurm", FUNCTION_TYPE)
    state_type = SlurmState

    def __init__(self, name: str, cluster: Cluster, settle: float, open_shell: OpenShell) -> None:
        self.name = name
        self.cluster = cluster
        self.start_declaration: StartDeclaration = Findable(settle)
        self.limits = limits_of(cluster)
        key = cluster.private_key
        self.secrets = {PRIVATE_KEY: SecretRef(key.secret, key.group)} if key else {}
        self._open_shell = open_shell
        self._shell: Shell

    @override
    async def open(self, opening: Opening[JobView]) -> None:
        self._shell = self._open_shell(self.cluster, opening.vault)
        opening.stack.push_async_callback(self._shell.close)

    @override
    async def prepare(self, context: Context, template: TaskTemplate) -> Prepared[SlurmState]:
        submission = await build_submission(context, template, read_custom(template), self.cluster)
        has_outputs = bool(template.interface.outputs)
        reads_outputs = has_outputs or template.type == FUNCTION_TYPE
        state = SlurmState(
            id="",
            created_at=context.clock.now(),
            cluster=self.name,
            key=context.key,
            output_prefix=context.locations.output_prefix if reads_outputs else "",
            has_outputs=has_outputs,
        )
        return Prepared(state, submission)

    @override
    async def create(self, context: Context, prepared: Prepared[SlurmState]) -> Created[JobView]:
        wanted = cast("Submission", prepared.body)
        words = commands.submit(self.cluster, wanted.options, wanted.words, wanted.environment)
        return Created(read_submitted(await self._run(words, wanted.script)))

    @override
    async def get_many(self, states: Sequence[SlurmState]) -> Mapping[str, JobView]:
        keys = {state.id: state.key for state in states}
        views = _ours(read_listed(await self._run(commands.list_jobs(self.cluster, list(keys)))), keys)
        forgotten = [job_id for job_id in keys if job_id not in views]
        if forgotten and self.cluster.accounting:
            views |= _ours(read_accounted(await self._run(commands.account_jobs(self.cluster, forgotten))), keys)
        return views

    @override
    async def delete(self, state: SlurmState) -> JobView | None:
        done = await self._run(commands.cancel(self.cluster, state.id, state.key))
        if done.code and not any(said in done.err for said in ("Invalid job id", "already completing or completed")):
            raise complaint("scancel", done)
        return JobView()  # it does not say whether there was a job: the look that follows does

    @override
    async def find(self, context: Context) -> Sequence[Listed]:
        rows = read_listed(await self._run(commands.list_named(self.cluster, context.key)))
        if self.cluster.accounting:
            rows += read_accounted(await self._run(commands.account_named(self.cluster, context.key)))
        ids = {row.id for row in rows if row.key == context.key}
        if not ids and not self.cluster.accounting:
            await self._insist_on_memory(context)
        return [Listed(job_id) for job_id in sorted(ids, key=int)]

    @override
    def is_over(self, view: JobView) -> bool:
        return is_over(view)

    @override
    def status(self, state: SlurmState, view: JobView | None) -> TaskStatus[SlurmState]:
        return decide(state, view)

    @override
    def links(self, state: SlurmState, view: JobView | None) -> Sequence[LogLink]:
        path = (view or state.view).output or state.view.output
        if not path.startswith("/"):
            return ()
        host = self.cluster.host
        return [LogLink(name="Output", uri=f"sftp://{host}{path}" if host else f"file://{path}")]

    @override
    def draft(self) -> SlurmState:
        return SlurmState(id="", created_at=0.0, cluster=self.name, key="")

    async def _insist_on_memory(self, context: Context) -> None:
        """
        Insist that the controller would still know the job.

        Raises:
            ExecutorError: It may have forgotten it; no fault of the cluster's, nor of other executions.
        """
        note: SlurmState | None = await read_note(context, self.id, SlurmState)
        if note is None:
            return  # it is written before anything is asked for
        if context.clock.now() - note.created_at > self.cluster.memory_seconds:
            raise ExecutorError(
                f"{self.name} does not know job {context.key} (any more?): it has no accounting, and forgets jobs"
                f" {self.cluster.memory_seconds:g} s after their end; look whether it ran, then retry or kill"
            )

    async def _run(self, words: Sequence[str], script: str = "") -> Finished:
        return await self._shell.run(words, stdin=script.encode(), timeout=self.cluster.timeout)


def limits_of(cluster: Cluster) -> Limits:
    """Say what may be asked of a cluster, by its configuration. Pure."""
    return Limits(
        period_seconds=cluster.interval,
        batch_size=max(cluster.batch, 2),
        writes_per_second=cluster.commands_per_second,
        concurrency=2,
        timeout_seconds=cluster.timeout * 3,  # each command has its own limit, and a read may take two
        settle_seconds=cluster.settle,
    )


def _ours(rows: Sequence[Row], keys: Mapping[str, str]) -> dict[str, JobView]:
    return {row.id: row.view for row in rows if keys.get(row.id) == row.key}
