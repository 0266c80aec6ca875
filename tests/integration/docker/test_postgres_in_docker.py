"""PostgreSQL in a container of testcontainers: what an executor's tests, or a store's, can stand on."""

from __future__ import annotations

from testcontainers.community.postgres import PostgresContainer
from tests.support.docker import Docker, make_for_docker
from tests.support.postgres import VERSION, postgres_image

QUERY = "select current_user, current_database(), current_setting('server_version')"


def test_it_serves_the_user_and_the_database_that_were_asked_for(docker: Docker) -> None:
    image = make_for_docker(docker, postgres_image)
    with PostgresContainer(image, username="somebody", password="it's a secret", dbname="things") as postgres:
        url = postgres.get_connection_url(driver=None)
        said = docker.run("run", "--rm", "--network=host", image, "psql", "-tA", url, "-c", QUERY)

    assert said.startswith(f"somebody|things|{VERSION}.")
