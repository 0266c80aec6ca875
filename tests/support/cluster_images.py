"""
Fixtures: images for Pods of the fixture ``cluster``, made here and loaded into it once.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.aging import new_plugin, old_plugin
from tests.support.etcd import find_binary
from tests.support.go_modules import CannotBuildError
from tests.support.images import CannotMakeImageError, Image, etcd_image, project_image
from tests.support.images import engine_image as make_engine_image
from tests.support.images import python_image as make_python_image

from airscrew.engine.testing.cluster.cluster import Cluster


@pytest.fixture(scope="session")
def python_image(cluster: Cluster) -> str:
    """The name of an image with Python alone."""
    return _load(cluster, make_python_image)


@pytest.fixture(scope="session")
def airscrew_image(cluster: Cluster) -> str:
    """The name of an image with this project and flytekit."""
    return _load(cluster, project_image)


@pytest.fixture(scope="session")
def engine_images(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Names of the engine's own image, as the Dockerfile describes it, with the older and the newer aging executor."""
    folder = tmp_path_factory.mktemp("plugin")
    older, newer = old_plugin(folder), new_plugin(folder)
    return _load(cluster, lambda: make_engine_image(older)), _load(cluster, lambda: make_engine_image(newer))


@pytest.fixture(scope="session")
def bundled_etcd_image(cluster: Cluster) -> str:
    """The name of an image with etcd."""
    return _load(cluster, lambda: etcd_image(find_binary()))


def _load(cluster: Cluster, make: Callable[[], Image]) -> str:
    try:
        image = make()
    except (CannotMakeImageError, CannotBuildError) as error:
        pytest.fail(f"NO IMAGE TO TEST WITH: {error}", pytrace=False)
    cluster.load_image(image.archive)
    return image.name
