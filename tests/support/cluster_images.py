"""
Fixtures: images for Pods of the fixture ``cluster``, made here and loaded into it once.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.images import CannotMakeImageError, Image, project_image
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


def _load(cluster: Cluster, make: Callable[[], Image]) -> str:
    try:
        image = make()
    except CannotMakeImageError as error:
        pytest.fail(f"NO IMAGE TO TEST WITH: {error}", pytrace=False)
    cluster.load_image(image.archive)
    return image.name
