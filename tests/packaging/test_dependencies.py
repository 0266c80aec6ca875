"""
The packages that airscrew is to stand on are declared and at work, and nothing is used that is not declared.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest
from tests.packaging.tree import PARTS, modules, normal, pyproject


@dataclass(frozen=True)
class Wanted:
    """A package that the project is to use: where it is declared, and where it is at work."""

    declared: str
    folder: str = "engine"

    def __str__(self) -> str:
        return self.declared


WANTED = {
    "kubernetes": Wanted("kubernetes", "plugins"),
    "aetcd": Wanted("etcd", "state"),
    "protobuf": Wanted("base", "idl"),
    "tenacity": Wanted("base"),
    "cachetools": Wanted("base"),
    "pytest": Wanted("dev", "tests"),
    "testcontainers": Wanted("dev", "tests"),
}

# Distributions whose modules have another name.
MODULES = {
    "protobuf": {"google"},
    "grpcio": {"grpc"},
    "pyyaml": {"yaml"},
    "typing-extensions": {"typing_extensions"},
    "flyteidl": {"flyteidl"},
}

# What the standard distribution of Python does not have and a module of ours may still import: optional, each an extra
# or a library that only another optional one brings along.
OPTIONAL = {
    "asyncssh": "slurm",
    "aetcd": "etcd",
    "aiobotocore": "aws",
    "botocore": "aws",
    "aiohttp": "http",
    "kubernetes": "kubernetes",
    "flytekit": "flytekit",
    "flyte": "flyte2",
    "flyteidl2": "flyte2",
    "prometheus_client": "metrics",
    "pytest": "testing",
    "rich": "terminal",
}


def declared(where: str) -> set[str]:
    project = pyproject()["project"]
    groups = {"base": project["dependencies"], "dev": pyproject()["dependency-groups"]["dev"]}
    return {normal(one) for one in (groups | project["optional-dependencies"])[where]}


def imported(*tops: str) -> set[str]:
    return set().union(*(module.imports() for module in modules(*tops)))


@pytest.mark.parametrize("name", WANTED)
def test_a_wanted_package_is_declared(name: str) -> None:
    assert name in declared(WANTED[name].declared)


@pytest.mark.parametrize("name", WANTED)
def test_a_wanted_package_is_at_work(name: str) -> None:
    names = MODULES.get(name, {name})

    assert names & imported(WANTED[name].folder)


def test_every_base_dependency_is_at_work() -> None:
    idle = {name for name in declared("base") if not MODULES.get(name, {name}) & imported(*PARTS)}

    assert idle == set()


def test_nothing_is_imported_that_is_not_declared() -> None:
    known = set().union(*(MODULES.get(name, {name}) for name in declared("base")))

    strangers = imported(*PARTS) - known - set(OPTIONAL) - sys.stdlib_module_names - {"airscrew"}

    assert strangers == set()


@pytest.mark.parametrize(("module", "extra"), OPTIONAL.items())
def test_an_optional_library_is_in_its_extra(module: str, extra: str) -> None:
    assert normal(module) in declared(extra)


def test_what_developers_get_holds_every_extra_with_code() -> None:
    (own,) = (one for one in pyproject()["dependency-groups"]["dev"] if one.startswith("airscrew["))
    extras = set(own.partition("[")[2].rstrip("]").split(","))

    assert set(OPTIONAL.values()) <= extras
