"""
What must never be in a file of the project: secrets, a machine's own paths, the name of a package index.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from tests.packaging.tree import ROOT, normal, pyproject, run, tracked_files

# Assembled from pieces, so that this file is no find of its own.
OWN_PATHS = re.compile(r"(?<![\w.])/(?:root|home/(?!user\b|flytekit\b|you\b|me\b|ada\b)[a-z][\w-]*)/[\w.]")
INDEXES = re.compile(r"https?://(?!index\.invalid|files\.invalid)[^\s\"'/]*[^\s\"]*(?:/simple\b|/packages/)")
SECRETS = {
    "a private key": re.compile("-----BEGIN (?:[A-Z]+ )?" + "PRIVATE KEY-----"),
    "a cloud key": re.compile(r"\bA" + r"KIA[0-9A-Z]{16}\b"),
    "a token of a forge": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|glpat-[\w-]{20})\b"),
    "a password in an address": re.compile(
        r"https?://[^\s/:@\"'{}]+:[^\s/@\"'{}]{3,}@(?!host|example|localhost)[\w.]+"
    ),
}
MADE_BY_OTHERS = {ROOT / "tests" / "data" / "templates", ROOT / "tests" / "fuzz" / "corpus"}


def texts() -> list[tuple[str, str]]:
    """The tracked files that are text, but for what programs made byte for byte: templates, and bad bytes."""
    found = []
    for path in tracked_files():
        if not MADE_BY_OTHERS.isdisjoint(path.parents):
            continue
        data = path.read_bytes()
        if b"\0" not in data:
            found.append((str(path.relative_to(ROOT)), data.decode("utf8")))
    return found


def finds(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize("kind", SECRETS)
def test_no_file_holds_a_secret(kind: str) -> None:
    assert finds(SECRETS[kind]) == []


@pytest.mark.parametrize(
    ("pattern", "sample"),
    [
        (SECRETS["a private key"], "-----BEGIN RSA " + "PRIVATE KEY-----"),
        (SECRETS["a cloud key"], "key = A" + "KIAABCDEFGHIJKLMNOP"),
        (SECRETS["a token of a forge"], "gh" + "p_" + "a" * 36),
        (SECRETS["a password in an address"], "http://bob:" + "hunter2@db.invalid"),
        (OWN_PATHS, "see /ro" + "ot/project"),
        (OWN_PATHS, "see /ho" + "me/bob/project"),
        (INDEXES, "https://mirror.invalid/pypi/" + "simple/"),
    ],
)
def test_what_is_looked_for_would_be_found(pattern: re.Pattern[str], sample: str) -> None:
    assert pattern.search(sample)


def test_no_file_names_this_checkout() -> None:
    own = str(ROOT) if len(ROOT.parts) > 2 else "a folder of one name may be anything"

    assert finds(re.compile(r"(?<![\w.~])" + re.escape(own) + r"(?![\w-])")) == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert finds(OWN_PATHS) == []


def test_no_file_names_a_package_index() -> None:
    assert finds(INDEXES) == []


def test_what_was_written_on_a_machine_does_not_get_in() -> None:
    own = {
        ".hypothesis",
        "__pycache__",
        "build",
        "dist",
        "site",
        ".venv",
        ".mypy_cache",
        ".ruff_cache",
        ".idea",
        ".vscode",
    }

    assert [path for path in tracked_files() if own & set(path.relative_to(ROOT).parts)] == []


def test_no_file_is_large() -> None:
    large = {str(path.relative_to(ROOT)) for path in tracked_files() if path.stat().st_size > 500_000}

    assert large <= {"uv.lock"}


def locked() -> dict[str, dict[str, object]]:
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf8"))
    return {package["name"]: package for package in lock["package"]}


def test_the_lock_is_that_of_the_declared_dependencies() -> None:
    metadata = locked()["airscrew"]["metadata"]
    project = pyproject()["project"]

    assert isinstance(metadata, dict)
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    dev = pyproject()["dependency-groups"]["dev"]
    assert {one["name"] for one in metadata["requires-dist"]} == {normal(one) for one in asked}
    assert {one["name"] for one in metadata["requires-dev"]["dev"]} == {normal(one) for one in dev}
    assert set(metadata["provides-extras"]) == set(project["optional-dependencies"])


def test_the_lock_has_every_declared_bound() -> None:
    metadata = locked()["airscrew"]["metadata"]
    wanted = {normal(one): one for one in pyproject()["project"]["dependencies"]}

    assert isinstance(metadata, dict)
    bounds = {one["name"]: one.get("specifier", "") for one in metadata["requires-dist"] if "marker" not in one}
    assert {name: re.sub(r"^[\w.\[\]-]+", "", one) for name, one in wanted.items()} == bounds


def test_every_locked_file_has_its_hash() -> None:
    bare = [
        name
        for name, package in locked().items()
        for file in [*package.get("wheels", ()), package.get("sdist")]  # type: ignore[misc]
        if file and not str(file["hash"]).startswith("sha256:")
    ]

    assert bare == []


def test_the_lock_can_be_exported_without_asking_an_index(tmp_path: Path) -> None:
    done = run("uv", "export", "-q", "--frozen", "--offline", "--group", "dev", "-o", tmp_path / "all.txt")

    assert done.returncode == 0, done.stderr
    assert "--hash=sha256:" in (tmp_path / "all.txt").read_text()
