"""The Dockerfile as Docker builds it, over a base and from a package index of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version

import pytest
from tests.support.docker import Docker, DockerError, make_for_docker
from tests.support.images import DOCKERFILE, ROOT, CannotMakeImageError, base_image, engine_image, read_settings
from tests.support.package_index import serving_packages

LOCKED_DOWN = ("run", "--rm", "--read-only", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges")
PACKAGES = """
from importlib.metadata import distributions
print(sorted({f"{each.name}=={each.version}" for each in distributions()}))
"""


@pytest.fixture(scope="module")
def built(docker_daemon: Docker) -> Iterator[str]:
    """The name of the image that the Dockerfile makes."""
    docker = docker_daemon
    trusting = f"FROM {make_for_docker(docker, base_image)}\nENV PIP_TRUSTED_HOST={docker.outside}\n"
    docker.run("build", "-q", "-t", "base.test/base", "-", stdin=trusting)
    try:
        with serving_packages(docker.outside) as index:
            arguments = {"BASE": "base.test/base", "PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index}
            options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
            docker.run("build", "-t", "airscrew.test/built", "-f", str(DOCKERFILE), *options, str(ROOT))
    except CannotMakeImageError as error:
        pytest.fail(f"NO IMAGE TO TEST WITH: {error}", pytrace=False)
    yield "airscrew.test/built"
    docker.run("image", "rm", "airscrew.test/built", "base.test/base")


def test_it_runs_the_engine_as_nobody_on_a_disk_that_is_read_only(docker: Docker, built: str) -> None:
    assert docker.run(*LOCKED_DOWN, built, "version").startswith(f"airscrew {version('airscrew')} ")
    assert docker.run(*LOCKED_DOWN, "--entrypoint=id", built, "-u") == "65532\n"
    with pytest.raises(DockerError, match="Read-only file system"):
        docker.run(*LOCKED_DOWN, "--entrypoint=touch", built, "/opt/airscrew/new")


def test_the_image_made_without_docker_begins_as_this_one_and_holds_the_same_packages(
    docker: Docker, built: str
) -> None:
    ours = make_for_docker(docker, engine_image)

    configs = [json.loads(docker.run("image", "inspect", name))[0]["Config"] for name in (built, ours)]
    packages = [docker.run("run", "--rm", "--entrypoint=python3", name, "-c", PACKAGES) for name in (built, ours)]

    for part in ("Entrypoint", "Cmd", "User", "WorkingDir"):
        assert configs[0][part] == configs[1][part]
    assert set(read_settings(DOCKERFILE.read_text()).env) <= set(configs[0]["Env"])
    assert packages[0] == packages[1]
    assert "airscrew==" in packages[0]
