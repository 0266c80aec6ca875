"""
A cluster that is there already: ``AIRSCREW_TEST_KUBECONFIG`` names an administrator's kubeconfig.

Tests make namespaces in it and delete them; nothing else of it is touched, and it has no faults.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from airscrew.engine.testing.cluster.cluster import Cluster
from airscrew.engine.testing.cluster.errors import CannotError, KubectlError

VARIABLE: Final = "AIRSCREW_TEST_KUBECONFIG"


class Existing:
    """The cluster that ``AIRSCREW_TEST_KUBECONFIG`` names."""

    def obstacle(self) -> str:
        """Return why there is none: nobody named one."""
        return "" if os.environ.get(VARIABLE) else f"{VARIABLE} names no kubeconfig"

    def open(self, stack: ExitStack, folder: Path) -> Cluster:
        """
        Return it, once it has answered.

        Raises:
            CannotError: There is no such file, no kubectl, or no answer: whoever names a cluster wants that one.
        """
        del stack, folder
        config = Path(os.environ[VARIABLE]).expanduser()
        if not config.is_file():
            raise CannotError(f"{VARIABLE} names {config}, and there is no such file")
        program = shutil.which("kubectl")
        if program is None:
            raise CannotError(f"{VARIABLE} names a cluster, and there is no kubectl on the PATH: install kubectl")
        cluster = Cluster(kind=f"the cluster of {VARIABLE}", kubeconfig=config, program=Path(program))
        try:
            cluster.kubectl("get", "--raw", "/readyz", seconds=30)
        except KubectlError as error:
            raise CannotError(f"the cluster of {VARIABLE} does not answer: {error}") from error
        return cluster
