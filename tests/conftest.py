"""
What all tests share: the virtual-time loop.

Mark a test, a class or a module with ``virtual_time`` and its async tests and fixtures run on a
``VirtualTimeLoop``:

    pytestmark = pytest.mark.virtual_time                       # the whole module
    @pytest.mark.virtual_time(limit_seconds=60)                 # one test, with a limit of its own
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import pytest

pytest_plugins = ["tests.support.etcd", "tests.support.control_plane", "tests.support.object_stores"]

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
