"""
What all tests share: the virtual-time loop.

Mark a test, a class or a module with ``virtual_time`` and its async tests and fixtures run on a
``VirtualTimeLoop``:

    pytestmark = pytest.mark.virtual_time                       # the whole module
    @pytest.mark.virtual_time(limit_seconds=60)                 # one test, with a limit of its own
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from airscrew.engine.testing.cluster.cluster import Provider

pytest_plugins = [
    "airscrew.engine.testing.cluster.pytest_plugin",
    "tests.support.etcd",
    "tests.support.control_plane",
    "tests.support.kwok",
    "tests.support.cluster_images",
    "tests.support.docker",
    "tests.support.object_stores",
    "tests.support.reached",
]

# How long an example takes says how busy the machine is, and that the first one pays for imports.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "virtual_time(limit_seconds=...): run the test's coroutine and fixtures on a VirtualTimeLoop",
    )


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    del config
    marker = item.get_closest_marker("virtual_time")
    if marker is None:
        return {"real_time": asyncio.new_event_loop}
    from airscrew.engine.testing.virtual_time import VirtualTimeLoop

    return {"virtual_time": partial(VirtualTimeLoop, **marker.kwargs)}


@pytest.fixture(scope="session")
def cluster_providers(cluster_providers: Sequence[Provider]) -> Sequence[Provider]:
    """The ways to a cluster that ship, and last one that takes what is in this repository."""
    from tests.support.machine_cluster import Machine

    return (*cluster_providers, Machine())


class _FilesAndFolders(LoadFileScheduling):
    """
    Hands whole files to the workers.

    All folders called ``cluster`` go to one, and all called ``docker``: what they start is started once.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((name for name in ("cluster", "docker") if f"/{name}/" in file), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return _FilesAndFolders(config, log) if config.getvalue("dist") == "loadfile" else None
