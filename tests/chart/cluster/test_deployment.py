"""The engine deployed into a real cluster, from installation to uninstallation, with tasks all the while."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chart.cluster.journey import Scale, journey
from tests.support.deployment import Deployment, Images
from tests.support.object_stores import ObjectStore, start_s3


@pytest.fixture(scope="module")
def s3(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An S3 that Pods reach."""
    store = start_s3(tmp_path_factory.mktemp("s3") / "s3", cluster.network.host)
    try:
        store.start()
        yield store
    finally:
        store.stop()


@pytest.fixture
def deployment(
    cluster: Any,
    s3: ObjectStore,
    airscrew_image: str,
    engine_images: tuple[str, str],
    bundled_etcd_image: str,
    tmp_path: Path,
) -> Iterator[Deployment]:
    previous, now = engine_images
    images = Images(previous=previous, engine=now, etcd=bundled_etcd_image, tasks=airscrew_image)
    with cluster.namespace() as engines, cluster.namespace() as tasks:
        made = Deployment(cluster, s3, images, tmp_path / "etcd", engines, tasks)
        made.prepare()
        yield made


def test_nothing_is_lost_or_doubled_or_left_from_installation_to_uninstallation(deployment: Deployment) -> None:
    journey(deployment, Scale())
