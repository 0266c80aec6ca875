"""The engine's image: what the Dockerfile says is what is made without a registry, and no more than it has to hold."""

from __future__ import annotations

import json
import re
import tarfile

import pytest
from tests.packaging.tree import PARTS, ROOT, pyproject
from tests.support.images import DOCKERFILE, SITE, CannotMakeImageError, Image, Settings, engine_image, read_settings

TEXT = DOCKERFILE.read_text()


@pytest.fixture(scope="module")
def image() -> Image:
    try:
        return engine_image()
    except CannotMakeImageError as error:
        pytest.fail(f"NO IMAGE TO TEST WITH: {error}", pytrace=False)


@pytest.fixture(scope="module")
def files(image: Image) -> set[str]:
    """All paths in it."""
    found: set[str] = set()
    with tarfile.open(image.archive) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        for layer in manifest[0]["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(layer)) as tree:
                found |= {name.removeprefix("./") for name in tree.getnames()}
    return found


def test_the_dockerfile_is_read() -> None:
    assert read_settings(TEXT) == Settings(
        command=("--help",),
        entrypoint=("airscrew",),
        user="65532:65532",
        env=("LANG=C.UTF-8", "PYTHONUNBUFFERED=1"),
    )


def test_a_container_begins_as_the_dockerfile_says(image: Image) -> None:
    with tarfile.open(image.archive) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(archive.extractfile(manifest[0]["Config"]))["config"]  # type: ignore[arg-type]

    assert (config["Entrypoint"], config["Cmd"], config["User"]) == (["airscrew"], ["--help"], "65532:65532")
    assert {"LANG=C.UTF-8", "PYTHONUNBUFFERED=1"} <= set(config["Env"])


def test_it_holds_the_engine_ready_to_run_and_no_compiler(files: set[str]) -> None:
    programs = {name.rpartition("/")[2] for name in files if re.search(r"(^|/)s?bin/", name)}

    assert "usr/local/bin/airscrew" in files
    assert f"{SITE}/airscrew/engine/cli/root.py" in files
    assert f"{SITE}/airscrew/engine/cli/__pycache__/root.cpython-311.pyc" in files
    assert programs & {"gcc", "cc", "g++", "c++", "clang", "ld", "make", "pip", "uv", "go"} == set()


def test_the_extras_that_it_names_are_there() -> None:
    found = re.search(r'^ARG EXTRAS="([^"]*)"', TEXT, re.MULTILINE)
    assert found is not None

    assert set(found.group(1).split()) <= set(pyproject()["project"]["optional-dependencies"])
    assert {"etcd", "kubernetes"} <= set(found.group(1).split())


def test_its_base_is_chosen_by_an_argument_and_its_last_stage_runs_nothing_as_root() -> None:
    last = TEXT.rpartition("\nFROM ")[2]

    assert re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE) == ["${BASE}", "${BASE}"]
    assert not re.search(r"^RUN ", last, re.MULTILINE)
    assert last.index("USER 65532") < last.index("ENTRYPOINT")


def test_what_the_wheel_is_made_of_is_sent_to_the_build_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()

    wanted = {*PARTS, "pyproject.toml", "uv.lock", pyproject()["project"]["readme"], "LICENSE"}
    assert lines[0] == "**"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == wanted
