"""
What the tests on a real Slurm have in common: its configuration, tasks for it, and attempts of their own.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.support.slurm import Slurm
from tests.support.sshd import Sshd

from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.template import TaskTemplate, make_template
from airscrew.plugins.slurm import SlurmExecutor
from airscrew.plugins.slurm.plugin import OpenShell, open_shell

FASTER = {"interval": 0.3, "timeout": 15, "settle": 16}
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}

Environment = ExecutorEnvironment[Any]
Opened = Callable[[], AbstractAsyncContextManager[Environment]]
reaches = pytest.mark.reaches("slurm", how="own", by="slurm", checked="Slurm's own commands, of Debian's package")


def local_config(slurm: Slurm) -> dict[str, Any]:
    return {"environment": slurm.environment, "directory": str(slurm.folder), **FASTER}


def ssh_config(slurm: Slurm, sshd: Sshd) -> dict[str, Any]:
    reached = {"host": "127.0.0.1", "port": sshd.port, "known_hosts": str(sshd.known_hosts)}
    return {**local_config(slurm), **reached, "private_key": {"secret": "slurm-key"}}


def environment_of(
    cluster: dict[str, Any], root: Path | None = None, opens: OpenShell = open_shell, **secrets: str
) -> Environment:
    return ExecutorEnvironment(
        lambda: SlurmExecutor(opens),
        config={"clusters": {"c": cluster}},
        secrets={name.replace("_", "-"): value for name, value in secrets.items()},
        root=f"file://{root}" if root else "memory://test",
    )


def text_of(path: Path) -> str:
    return path.read_text()


_numbers = itertools.count()


def begin(environment: Environment, task: TaskTemplate, inputs: Any = None) -> Any:
    """An attempt of its own: names are keys, and one cluster serves all tests."""
    return environment.attempt(task, inputs, name=f"t{next(_numbers)}")


def script(text: str, **custom: object) -> TaskTemplate:
    return make_template("slurm", custom={"script": f"#!/bin/bash\n{text}\n", **custom})


async def wait_for(is_so: Callable[[], bool], slurm: Slurm, key: str) -> None:
    async with asyncio.timeout(60):
        while not (slurm.jobs(key) and slurm.jobs(key)[0][1] in ENDED and is_so()):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
