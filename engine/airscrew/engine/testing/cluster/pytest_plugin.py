"""
Fixtures for pytest: ``cluster``, ``cluster_namespace``, and ``cluster_providers`` to add a way to one.

Name it in the ``conftest.py`` of your tests::

    pytest_plugins = ["airscrew.engine.testing.cluster.pytest_plugin"]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from airscrew.engine.testing.cluster.cluster import Cluster, Provider, open_first
from airscrew.engine.testing.cluster.errors import CannotError
from airscrew.engine.testing.cluster.existing import Existing
from airscrew.engine.testing.cluster.kind import Kind


@pytest.fixture(scope="session")
def cluster_providers() -> Sequence[Provider]:
    """The ways to a cluster, the first that is open is taken; a fixture of the same name adds some."""
    return (Existing(), Kind())


@pytest.fixture(scope="session")
def cluster(cluster_providers: Sequence[Provider], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that the tests of a process share; the test fails where there is none."""
    with ExitStack() as stack:
        try:
            yield open_first(cluster_providers, stack, tmp_path_factory.mktemp("cluster"))
        except CannotError as error:
            pytest.fail(str(error), pytrace=False)


@pytest.fixture
def cluster_namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the cluster, for this test alone."""
    with cluster.namespace() as name:
        yield name
