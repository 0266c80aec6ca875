"""
Make what the tests need and nobody hands out, before they ask for it: programs from Go modules, and images.

    python -m tests.support.warm    seconds when all is kept; about fifteen minutes on a new machine of two cores

What cannot be made here is said and left: the tests that need it fail, and say what to install.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest
from tests.stock.environments import make_all
from tests.support.control_plane import find_programs
from tests.support.docker import prepare_docker
from tests.support.etcd import find_binary
from tests.support.go_modules import CannotBuildError, build
from tests.support.helm import find_helm
from tests.support.images import CannotMakeImageError, base_image, engine_image, etcd_image, pause_image, project_image
from tests.support.kind_cluster import find_kind
from tests.support.kind_node import node_image
from tests.support.kwok import find_kwok
from tests.support.machine_cluster import Machine
from tests.support.package_index import package_files
from tests.support.postgres import postgres_image
from tests.support.slurm import needed as find_slurm
from tests.support.sshd import needed as find_sshd

STEPS: dict[str, Callable[[], object]] = {
    "etcd": find_binary,
    "Kubernetes": find_programs,
    "packages of a node": lambda: Machine().obstacle(),
    "Docker": prepare_docker,
    "CoreDNS": lambda: build("coredns"),
    "KWOK": find_kwok,
    "Helm": find_helm,
    "kind": find_kind,
    "Slurm": find_slurm,
    "OpenSSH": find_sshd,
    "a reader of PromQL": lambda: build("promql"),
    "environments of stock connectors": make_all,
    "the image of Pods without anything": pause_image,
    "the image of this project": project_image,
    "the image of the engine": engine_image,
    "the base of the Dockerfile": base_image,
    "packages for the Dockerfile": package_files,
    "the image of PostgreSQL": postgres_image,
    "the image of etcd": lambda: etcd_image(find_binary()),
    "the image of kind's nodes": node_image,
}


def main() -> int:
    """Take every step, whatever becomes of the others; 0 when all went well."""
    sound = True
    for name, step in STEPS.items():
        started = time.monotonic()
        try:
            trouble = step()
        except (CannotBuildError, CannotMakeImageError, pytest.skip.Exception) as error:
            trouble = str(error)
        failed = trouble if isinstance(trouble, str) else ""
        sound = sound and not failed
        print(f"   {name}: {failed or 'there'} ({time.monotonic() - started:.0f} s)", flush=True)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
