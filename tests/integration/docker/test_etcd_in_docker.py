"""The store on an etcd in a container of testcontainers: the way in which users test with it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy
from tests.support.docker import Docker, make_for_docker
from tests.support.etcd import find_binary
from tests.support.images import etcd_image

from airscrew.state.testing import check_store
from airscrew.state.urls import open_store

PORT = 2379
COMMAND = ["etcd", "--log-level=warn"]
COMMAND += [f"--listen-client-urls=http://0.0.0.0:{PORT}", f"--advertise-client-urls=http://127.0.0.1:{PORT}"]


@pytest.fixture
def etcd_url(docker: Docker) -> Iterator[str]:
    """The address of a store on an etcd of its own."""
    image = make_for_docker(docker, lambda: etcd_image(find_binary()))
    ready = HttpWaitStrategy(PORT, "/health").with_poll_interval(0.1)
    with DockerContainer(image).with_command(COMMAND).with_exposed_ports(PORT).waiting_for(ready) as container:
        yield f"etcd://{container.get_container_host_ip()}:{container.get_exposed_port(PORT)}/test"


async def test_the_store_keeps_its_guarantees_on_an_etcd_in_a_container(etcd_url: str) -> None:
    await check_store(partial(open_store, etcd_url))
