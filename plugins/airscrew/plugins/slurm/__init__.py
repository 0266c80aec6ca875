"""
``slurm``: batch jobs of Slurm clusters, by Slurm's own commands, on this machine or over SSH.

Task types ``slurm`` and ``slurm_fn``, as flytekit's Slurm plugin writes them. A job is called by its attempt's key, and
so it is found again; one ``squeue`` reads many jobs, and the accounting knows those that the controller has forgotten.
Nothing here MUST put what a task says into a command line other than as one quoted word of it.
"""

from __future__ import annotations

from airscrew.plugins.slurm.executor import SlurmExecutor
from airscrew.plugins.slurm.shell import Finished, Shell
from airscrew.plugins.slurm.state import SlurmState

__all__ = ["Finished", "Shell", "SlurmExecutor", "SlurmState"]
