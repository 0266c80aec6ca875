"""The Docker that the tests have: it runs containers, and leaves this machine as it was."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.cgroups import CGROUPS
from tests.support.docker import Docker, DockerError, install_docker, make_for_docker, open_docker, start_docker
from tests.support.images import python_image
from tests.support.oci_runtime import files, withheld, without

SAY = ("python3", "-c", "import os; print(os.getpid(), sorted(os.listdir('/sys/class/net')))")


def packet_filters() -> str:
    """Return all rules of this machine, without how often each was met."""
    done = subprocess.run(["iptables-save"], check=True, capture_output=True, text=True)
    return re.sub(r"^#.*\n|\[\d+:\d+\]", "", done.stdout, flags=re.MULTILINE)


def interfaces() -> set[str]:
    return {each.name for each in Path("/sys/class/net").iterdir()}


def test_it_runs_a_container_of_an_image_made_here(docker: Docker) -> None:
    image = make_for_docker(docker, python_image)

    said = docker.run("run", "--rm", image, *SAY)

    assert said == "1 ['eth0', 'lo']\n"


def test_a_privileged_container_starts_even_where_root_itself_lacks_a_capability(docker: Docker) -> None:
    image = make_for_docker(docker, python_image)

    said = docker.run("run", "--rm", "--privileged", image, "cat", "/proc/self/status")

    assert "CAP_SYS_ADMIN" not in withheld(said)
    assert withheld() <= withheld(said)


def test_the_runtime_takes_away_what_cannot_be_had_wherever_it_is_asked_for() -> None:
    process = {"cwd": "/", "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "ambient": []}}

    assert withheld("CapEff:\t0\nCapBnd:\t000001fffeffffff\n") == {"CAP_SYS_RESOURCE"}
    assert without(process, {"CAP_SYS_RESOURCE"}) == {
        "cwd": "/",
        "capabilities": {"bounding": ["CAP_CHOWN"], "ambient": []},
    }
    assert list(files(["--root", "/r", "create", "--bundle", "/b", "one"])) == [(Path("/b/config.json"), True)]
    assert list(files(["exec", "--process", "/p", "--detach", "one"])) == [(Path("/p"), False)]


def test_what_fails_says_why(docker: Docker) -> None:
    with pytest.raises(DockerError, match=r"docker inspect failed: .*\n.*no-such-container"):
        docker.run("inspect", "no-such-container")


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can start a Docker")
def test_one_of_ours_leaves_this_machine_as_it_was() -> None:
    assert not install_docker()
    filters = packet_filters()
    with ExitStack() as stack:
        docker = start_docker(stack)
        image = make_for_docker(docker, python_image)
        number = docker.host.split(".")[1]
        docker.run("run", "--detach", "--publish=80", image, "sleep", "600")
        folder = Path(docker.url.removeprefix("unix://")).parent

        assert f"aw{number}" in interfaces()
        assert packet_filters() == filters, "its rules are in a network of its own"

    assert f"aw{number}" not in interfaces()
    assert packet_filters() == filters
    assert not folder.exists()
    assert not list(CGROUPS.glob(f"**/aw{number}-docker"))


def test_without_docker_and_root_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(DockerError, match=r"no docker on the PATH\), and root alone .* install and start Docker"):
        open_docker(ExitStack())


def test_without_packages_the_message_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ip = shutil.which("ip")
    assert ip is not None
    (tmp_path / "ip").symlink_to(ip)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert re.fullmatch(
        r"Docker needs dockerd, docker, .*nsenter: apt-get install docker\.io .* \(there is no apt-get .*\)",
        install_docker(),
    )
