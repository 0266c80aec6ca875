"""Kind as users have it, on a node image made here: the chart is installed there, and a task of flytekit runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.cluster_tasks import flytekit_jobs
from tests.support.deployment import Deployment, Images, wait_until
from tests.support.docker import Docker
from tests.support.etcd import find_binary
from tests.support.go_modules import CannotBuildError
from tests.support.images import CannotMakeImageError, Image, engine_image, etcd_image, project_image
from tests.support.kind_cluster import Kind, find_kind
from tests.support.kind_node import node_image
from tests.support.object_stores import ObjectStore, start_s3

from airscrew.engine.testing.cluster.kind import KindCluster


@dataclass(frozen=True)
class Made:
    """What is made before anything starts."""

    kind: Path
    node: Image
    engine: Image
    etcd: Image
    tasks: Image


@pytest.fixture(scope="module")
def made() -> Made:
    """Kind, and all images."""
    try:
        return Made(find_kind(), node_image(), engine_image(), etcd_image(find_binary()), project_image())
    except (CannotBuildError, CannotMakeImageError) as error:
        pytest.fail(f"NO KIND TO TEST WITH: {error}", pytrace=False)


@pytest.fixture
def kind(docker: Docker, made: Made, monkeypatch: pytest.MonkeyPatch) -> Kind:
    """Kind, which is on the PATH too while the test runs: there ``KindCluster`` looks for it."""
    monkeypatch.setenv("PATH", f"{made.kind.parent}{os.pathsep}{os.environ['PATH']}")
    return Kind(docker, made.kind, made.node)


@pytest.fixture
def s3(docker: Docker, tmp_path: Path) -> Iterator[ObjectStore]:
    """An S3 that Pods reach."""
    store = start_s3(tmp_path / "s3", docker.outside)
    try:
        store.start()
        yield store
    finally:
        store.stop()


@contextmanager
def a_deployment(cluster: KindCluster, made: Made, s3: ObjectStore, folder: Path) -> Iterator[Deployment]:
    """Load the images, and prepare a release with one controller."""
    for image in (made.engine, made.etcd, made.tasks):
        cluster.load_image(image.archive)
    engine = made.engine.name
    images = Images(previous=engine, engine=engine, etcd=made.etcd.name, tasks=made.tasks.name)
    with cluster.namespace() as engines, cluster.namespace() as tasks:
        deployment = Deployment(cluster, s3, images, folder / "etcd", engines, tasks, controllers_wanted=1)
        deployment.prepare()
        with deployment.telling():
            yield deployment


@pytest.mark.timeout(600)  # many images are copied, and the machine has others to serve
def test_the_chart_runs_a_task_of_flytekit_and_nothing_is_left(
    kind: Kind, docker: Docker, made: Made, s3: ObjectStore, tmp_path: Path
) -> None:
    volumes, jobs = docker.run("volume", "ls", "-q"), flytekit_jobs(1, "kit")
    with kind.cluster(tmp_path) as cluster, a_deployment(cluster, made, s3, tmp_path / "shared") as deployment:
        with deployment.counting() as pods:
            deployment.install()
            deployment.submit(jobs)
            deployment.finish(jobs, 120.0)
            wait_until(lambda: not deployment.pods_of_tasks(), "no Pod of a task is left")
        deployment.uninstall()

    assert pods.by_execution() == {jobs[0].name: 1}
    assert docker.run("ps", "--all", "--quiet", f"--filter=name={cluster.name}") == ""
    assert docker.run("volume", "ls", "-q") == volumes
