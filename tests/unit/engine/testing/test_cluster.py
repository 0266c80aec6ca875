"""How a test gets a cluster: by the first way that is open, and never by being skipped."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from airscrew.engine.testing.cluster.cluster import Cluster, open_first
from airscrew.engine.testing.cluster.errors import CannotError, KubectlError
from airscrew.engine.testing.cluster.existing import VARIABLE, Existing
from airscrew.engine.testing.cluster.kind import Kind, KindCluster

NOWHERE = Path("nowhere")


@dataclass
class Way:
    """A provider that is open or not."""

    name: str
    shut: str = ""

    def obstacle(self) -> str:
        return self.shut

    def open(self, stack: ExitStack, folder: Path) -> Cluster:
        del stack, folder
        return Cluster(kind=self.name, kubeconfig=NOWHERE, program=NOWHERE)


def write_program(folder: Path, name: str, script: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


class TestProviders:
    def test_the_first_way_that_is_open_is_taken(self, tmp_path: Path) -> None:
        with ExitStack() as stack:
            found = open_first([Way("one", shut="no"), Way("two"), Way("three")], stack, tmp_path)

        assert found.kind == "two"

    def test_where_none_is_open_the_error_says_what_would_open_each(self, tmp_path: Path) -> None:
        ways = [Way("one", shut="name one"), Way("two", shut="install two")]

        with ExitStack() as stack, pytest.raises(CannotError, match=r"NO KUBERNETES .*: name one; install two$"):
            open_first(ways, stack, tmp_path)


class TestExisting:
    def test_it_is_shut_while_nobody_names_a_cluster(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(VARIABLE, raising=False)

        assert Existing().obstacle() == f"{VARIABLE} names no kubeconfig"

    def test_a_name_that_leads_nowhere_is_an_error_and_no_reason_to_take_another(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
        assert Existing().obstacle() == ""

        with ExitStack() as stack, pytest.raises(CannotError, match="there is no such file"):
            Existing().open(stack, tmp_path)

    def test_a_cluster_that_does_not_answer_is_an_error(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        write_program(tmp_path, "kubectl", "echo 'connection refused' >&2; exit 1")
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
        monkeypatch.setenv(VARIABLE, __file__)

        with ExitStack() as stack, pytest.raises(CannotError, match=r"does not answer: .*connection refused"):
            Existing().open(stack, tmp_path)


class TestCluster:
    @pytest.mark.parametrize(
        "do",
        [
            lambda cluster: cluster.load_image(NOWHERE),
            lambda cluster: cluster.nodes,
            lambda cluster: cluster.api_server,
            lambda cluster: cluster.etcd,
        ],
    )
    def test_what_a_cluster_cannot_do_is_an_error(self, do: Callable[[Cluster], object]) -> None:
        with pytest.raises(CannotError, match="lent"):
            do(Cluster(kind="lent", kubeconfig=NOWHERE, program=NOWHERE))

    def test_kubectl_that_fails_says_why(self, tmp_path: Path) -> None:
        program = write_program(tmp_path, "kubectl", "echo 'not found' >&2; exit 1")

        with pytest.raises(KubectlError, match=r"^kubectl get pods: not found$"):
            Cluster(kind="lent", kubeconfig=NOWHERE, program=program).kubectl("get", "pods")

    def test_what_does_not_come_in_time_is_an_error(self) -> None:
        with pytest.raises(TimeoutError, match="that it rains"):
            Cluster(kind="lent", kubeconfig=NOWHERE, program=NOWHERE).until(lambda: "", "it rains", seconds=0)

    def test_it_needs_neither_a_client_library_nor_a_test_framework(self) -> None:
        script = (
            "import sys, airscrew.engine.testing.cluster.existing, airscrew.engine.testing.cluster.kind\n"
            "print({'kubernetes', 'pytest', 'grpc', 'flyteidl'} & set(sys.modules))"
        )

        assert subprocess.run([sys.executable, "-c", script], check=True, capture_output=True).stdout == b"set()\n"


class TestKind:
    @pytest.fixture
    def said(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        """Commands that write down how they were called."""
        said = tmp_path / "said"
        for name in ("kind", "kubectl", "docker"):
            write_program(tmp_path, name, f'echo "{name} $*" >> {said}; true')
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
        return said

    def test_it_is_shut_without_a_docker_that_works(self, said: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert Kind().obstacle() == ""
        write_program(said.parent, "docker", "exit 1")
        assert Kind().obstacle() == "kind needs a Docker that works: docker info fails"
        monkeypatch.setenv("PATH", "/nowhere")
        assert Kind().obstacle() == "kind needs kind, kubectl, docker on the PATH"

    def test_the_cluster_is_deleted_with_the_tests(self, said: Path, tmp_path: Path) -> None:
        with ExitStack() as stack:
            cluster = Kind().open(stack, tmp_path)
            assert isinstance(cluster, KindCluster)
            cluster.load_image(Path("image.tar"))

        calls = [line.split(" --name")[0] for line in said.read_text().splitlines()]
        assert calls == ["kind create cluster", "kind load image-archive", "kind delete cluster"]
        assert said.read_text().count(f"--name {cluster.name}") == 3

    def test_a_cluster_that_did_not_come_up_is_deleted(self, said: Path, tmp_path: Path) -> None:
        script = (tmp_path / "kind").read_text().replace("; true", "; test $1 != create")
        (tmp_path / "kind").write_text(script)

        with ExitStack() as stack, pytest.raises(CannotError, match="kind create cluster failed"):
            Kind().open(stack, tmp_path)

        assert "kind delete cluster" in said.read_text()
