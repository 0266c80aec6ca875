"""
The executor of ``slurm``: the WebAPI framework over one plugin a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack

from typing_extensions import override

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Findable, Setup
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.slurm.config import Cluster, read_config
from airscrew.plugins.slurm.plugin import OpenShell, SlurmPlugin, open_shell
from airscrew.plugins.slurm.request import cluster_of, read_custom
from airscrew.plugins.slurm.state import JobView, SlurmState
from airscrew.plugins.webapi import ProvidersExecutor


class SlurmExecutor(ProvidersExecutor[SlurmState, JobView]):
    """
    Runs batch jobs of the clusters that the configuration names.

    Args:
        open_shell: Opens the way to a cluster.
    """

    id = SlurmPlugin.id
    task_types = SlurmPlugin.task_types
    state_type = SlurmState
    start_declaration = Findable()

    def __init__(self, open_shell: OpenShell = open_shell) -> None:
        super().__init__()
        self._open_shell = open_shell
        self._clusters: Mapping[str, Cluster] = {}

    @override
    async def make_plugins(self, setup: Setup, stack: AsyncExitStack) -> Mapping[str, SlurmPlugin]:
        config = read_config(setup.config)
        self._clusters = config.clusters
        vars(self)["start_declaration"] = Findable(config.settle)
        return {
            name: SlurmPlugin(name, cluster, config.settle, self._open_shell)
            for name, cluster in config.clusters.items()
        }

    @override
    def provider_of_task(self, template: TaskTemplate) -> str:
        return cluster_of(read_custom(template), self._clusters)

    @override
    def provider_of_state(self, state: SlurmState) -> str:
        return state.cluster

    @override
    def unknown_provider(self, name: str) -> PermanentError:
        known = ", ".join(self.providers)
        return PermanentError(
            f"cluster {name!r} is not configured: add executors.slurm.clusters.{name} (there are: {known})",
            code="UnknownCluster",
        )
