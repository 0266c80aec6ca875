"""
Container images for test clusters, made without a registry: Debian's packages, Python's packages, a tar of each layer.

    python -m tests.support.images [--extra NAME]... FILE    an image with the project, as a docker-archive
    python -m tests.support.images --engine FILE             the image that the Dockerfile describes

Layers are kept in ``~/.cache/airscrew`` by what they are made of: the base for months, the dependencies as long as the
lock file stays, the project's own code for its sum. An image is an archive of layers, and what has a layer already
takes it but once.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.go_modules import kept_folder

ROOT = Path(__file__).resolve().parent.parent.parent
RELEASE, PYTHON = "bookworm", "3.11"
PACKAGES = "python3,ca-certificates"  # without the latter no client of an object store comes up, not even for http
SITE = f"usr/local/lib/python{PYTHON}/dist-packages"
UNUSED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log")
PAUSE = """
#include <unistd.h>
int main(void) { for (;;) pause(); }
"""
FORGET_SECONDS = 3600.0
PORTIONS = ("engine", "plugins", "state", "idl")


DOCKERFILE = ROOT / "Dockerfile"
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
COMPILED = "compiled"
"""Part of what a layer is made of: programs start in half the time, and on a read-only file system too."""


class CannotMakeImageError(Exception):
    """There is no way to that image here; the message says what to install."""


@dataclass(frozen=True)
class Image:
    """
    An image.

    Attributes:
        name: What Pods call it; its tag is the sum of its layers.
        archive: The image as a docker-archive.
    """

    name: str
    archive: Path


def pause_image() -> Image:
    """Return what holds the network of a Pod while its containers come and go."""
    return make_image("pause", [make_layer("pause", [PAUSE], _make_pause)], Settings(command=("/pause",)))


def python_image() -> Image:
    """Return Debian with Python, and nothing else."""
    return make_image("python", [_base()], Settings(command=("python3",)))


def base_image() -> Image:
    """Return Debian with Python and pip: a base for the Dockerfile."""
    pip = make_layer("pip", [PYTHON, COMPILED], lambda tree: _install(tree, ["pip"]))
    return make_image("base", [_base(), pip], Settings(command=("python3",)))


def etcd_image(binary: Path) -> Image:
    """Return an image with an etcd that needs no library, and nothing else."""

    def put(tree: Path) -> None:
        (tree / "usr/local/bin").mkdir(parents=True)
        shutil.copy(binary.resolve(), tree / "usr/local/bin/etcd")

    return make_image("etcd", [make_layer("etcd", [sum_of(binary.resolve())], put)], Settings(command=("etcd",)))


def project_image(extras: Iterable[str] = ("flytekit",), more: Sequence[Path] = ()) -> Image:
    """
    Return an image with this project in it, as installed from its wheel, over its locked dependencies.

    Args:
        extras: Extras of the project that come with it.
        more: Python files or packages that are laid beside it, such as the tasks of a test.
    """
    image = make_image("airscrew", _project_layers(extras, more), Settings(command=("airscrew", "--help")))
    forget_old(image.archive.parent)
    return image


def engine_image(more: Sequence[Path] = (), source: Path = ROOT) -> Image:
    """
    Return the image of the engine: what the Dockerfile says, over this base.

    Args:
        more: Python files or packages that are laid beside it, such as an executor of a test.
        source: The checkout that it is made of; another one for another version.
    """
    text = DOCKERFILE.read_text()
    image = make_image("engine", _project_layers(chosen_extras(text), more, source), read_settings(text))
    forget_old(image.archive.parent)
    return image


@dataclass(frozen=True)
class Settings:
    """
    What a container of an image begins with.

    Attributes:
        command: Its first words, when a Pod names none.
        entrypoint: What stands before them.
        user: Its user and group; empty for root.
        env: Its variables.
    """

    command: tuple[str, ...]
    entrypoint: tuple[str, ...] = ()
    user: str = ""
    env: tuple[str, ...] = ("LANG=C.UTF-8",)

    def as_config(self) -> dict[str, object]:
        """As an image's configuration has it."""
        config = {"Env": [f"PATH={DEFAULT_PATH}", *self.env], "Cmd": list(self.command), "WorkingDir": "/"}
        return config | ({"Entrypoint": list(self.entrypoint)} if self.entrypoint else {}) | {"User": self.user}


def chosen_extras(dockerfile: str) -> list[str]:
    """Read which extras of the project a Dockerfile takes."""
    found = re.search(r'^ARG EXTRAS="([^"]*)"', dockerfile, re.MULTILINE)
    assert found is not None, "the Dockerfile names the extras"
    return found.group(1).split()


def read_settings(dockerfile: str) -> Settings:
    """Read what the last stage of a Dockerfile says of its containers; where programs lie is the base's own matter."""
    stage = dockerfile.rpartition("\nFROM ")[2]
    words = dict(re.findall(r"^(USER|ENTRYPOINT|CMD|ENV) (.*)$", stage, re.MULTILINE))
    env = tuple(word for word in shlex.split(words["ENV"]) if not word.startswith("PATH="))
    command, entrypoint = json.loads(words["CMD"]), json.loads(words["ENTRYPOINT"])
    return Settings(command=tuple(command), entrypoint=tuple(entrypoint), user=words["USER"], env=env)


def _project_layers(extras: Iterable[str], more: Sequence[Path], source: Path = ROOT) -> list[Path]:
    chosen = sorted(extras)
    lock = (source / "uv.lock").read_text()
    sources = [str(sum_of(source / each)) for each in (*PORTIONS, "pyproject.toml")] + [
        str(sum_of(each)) for each in more
    ]
    project = make_layer("project", [*sources, COMPILED], lambda folder: _install_project(folder, more, source))
    forget_old(project.parent)
    return [
        _base(),
        make_layer(
            "dependencies", [lock, *chosen, COMPILED], lambda folder: _install_dependencies(folder, chosen, source)
        ),
        project,
    ]


def forget_old(*folders: Path) -> None:
    """Remove what was made of earlier states of the project and nobody has asked for since an hour."""
    for folder in folders:
        os.utime(folder)
        stem = folder.name.rpartition("-")[0]
        for other in folder.parent.glob(f"{stem}-*"):
            if time.time() - other.stat().st_mtime > FORGET_SECONDS:
                shutil.rmtree(other, ignore_errors=True)


def _base() -> Path:
    return make_layer("base", [RELEASE, PACKAGES, platform.machine()], _make_base)


def sum_of(path: Path) -> str:
    """Sum up a file, or all files of a folder."""
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    total = hashlib.sha256()
    for each in files:
        if "__pycache__" not in each.parts:
            total.update(str(each.relative_to(path)).encode() + b"\0" + each.read_bytes())
    return total.hexdigest()


@contextmanager
def _kept(name: str, sources: Iterable[str]):
    folder = kept_folder(name, *(f"{each}\0".encode() for each in sources))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several pytest workers makes it, the others wait
        yield folder


def make_layer(name: str, sources: Sequence[str], make: Callable[[Path], None]) -> Path:
    """Return the tar of a layer, made if nobody did before."""
    with _kept(f"layer-{name}", sources) as folder:
        layer = folder / "layer.tar"
        if not layer.exists():
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                tree = Path(scratch) / "tree"
                tree.mkdir(mode=0o755)
                make(tree)
                made = Path(scratch) / "layer.tar"
                _run(["tar", "--numeric-owner", "--sort=name", "-C", str(tree), "-cf", str(made), "."])
                made.rename(layer)
        return layer


def make_image(name: str, layers: Sequence[Path], settings: Settings, tags: Sequence[str] = ()) -> Image:
    """Return the image of these layers, packed if nobody did before; its tags are more names for it."""
    sums = [_digest(layer) for layer in layers]
    with _kept(f"image-{name}", [*sums, json.dumps(settings.as_config()), *tags]) as folder:
        full = f"{name}.test/{name}:{folder.name.rpartition('-')[2]}"
        archive = folder / "image.tar"
        if not archive.exists():
            made = archive.with_suffix(".new")
            _pack(made, [full, *tags], layers, sums, settings)
            made.rename(archive)
        return Image(full, archive)


def _digest(file: Path) -> str:
    with file.open("rb") as read:
        return hashlib.file_digest(read, "sha256").hexdigest()


def _pack(archive: Path, names: Sequence[str], layers: Sequence[Path], sums: Sequence[str], settings: Settings) -> None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = json.dumps(
        {
            "architecture": machine,
            "os": "linux",
            "config": settings.as_config(),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each}" for each in sums]},
            "history": [{"created_by": layer.parent.name} for layer in layers],
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": list(names), "Layers": [f"{each}/layer.tar" for each in sums]}]
    with tarfile.open(archive, "w") as tar:
        for file, data in ((config_name, config), ("manifest.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(file)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for layer, digest in zip(layers, sums, strict=True):
            tar.add(layer, f"{digest}/layer.tar")


def _make_pause(tree: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CannotMakeImageError("the pause image is compiled, and there is no C compiler: install gcc and libc6-dev")
    _run([compiler, "-static", "-O1", "-x", "c", "-o", str(tree / "pause"), "-"], stdin=PAUSE)


def bootstrap(tree: Path, packages: str) -> None:
    """
    Fill a tree with a small Debian and these of its packages.

    Raises:
        CannotMakeImageError: Says why.
    """
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise CannotMakeImageError("an image is made with debootstrap by root: install debootstrap and be root")
    wanted = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", f"Codename: {RELEASE}"]
    mirrors = _run(wanted).split()  # the one that this machine has its own packages from, if it is of that release
    _run(["debootstrap", "--variant=minbase", f"--include={packages}", RELEASE, str(tree), *mirrors[:1]])
    for folder in UNUSED:
        shutil.rmtree(tree / folder, ignore_errors=True)


def _make_base(tree: Path) -> None:
    bootstrap(tree, PACKAGES)
    (tree / "usr/local/bin/python").symlink_to("/usr/bin/python3")


def _install_dependencies(tree: Path, extras: Sequence[str], source: Path) -> None:
    wanted = tree.parent / "requirements.txt"
    wanted.write_text(export(source, extras))
    _install(tree, ["--require-hashes", "-r", str(wanted)])


def export(source: Path, extras: Iterable[str]) -> str:
    """Return what the lock of a checkout names for these extras, as pip reads it."""
    chosen = [f"--extra={extra}" for extra in extras]
    return _run([_uv(), "export", "--frozen", "--no-emit-project", "--no-dev", "-q", *chosen], cwd=source)


def _install_project(tree: Path, more: Sequence[Path], source: Path) -> None:
    wheels = tree.parent / "wheels"
    _run([_uv(), "build", "-q", "--wheel", "--out-dir", str(wheels), str(source)], cwd=source)
    _install(tree, ["--no-deps", *(str(wheel) for wheel in wheels.glob("*.whl"))])
    for path in more:
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, tree / SITE / path.name)


def _install(tree: Path, what: Sequence[str]) -> None:
    """Install packages for the image's Python, with the tests' own uv."""
    site, scripts = tree / SITE, tree / "usr/local/bin"
    target = ["--target", str(site), "--python-version", PYTHON, "--python-platform", "linux"]
    _run([_uv(), "pip", "install", "-q", "--python", sys.executable, *target, *what])
    scripts.mkdir(parents=True)
    for script in (site / "bin").glob("*"):
        first, _, rest = script.read_bytes().partition(b"\n")
        ours = b"#!/usr/bin/python3" if first.startswith(b"#!") and b"python" in first else first
        if script.read_bytes().startswith(b"#!/bin/sh"):  # uv's way around interpreters with long paths
            _, _, rest = rest.partition(b"' '''\n")
            ours = b"#!/usr/bin/python3"
        (scripts / script.name).write_bytes(ours + b"\n" + rest)
        (scripts / script.name).chmod(0o755)
    shutil.rmtree(site / "bin", ignore_errors=True)
    _compile(site)


def _compile(site: Path) -> None:
    """Compile what is for the image's Python, where this one is the same; else the image's compiles it each time."""
    if sys.version_info[:2] == tuple(int(part) for part in PYTHON.split(".")):
        quiet = ["-q", "-q", "--invalidation-mode", "unchecked-hash"]
        command = [sys.executable, "-m", "compileall", *quiet, "-s", str(site), "-p", f"/{SITE}", str(site)]
        subprocess.run(command, check=False, capture_output=True, timeout=600)  # some packages carry broken samples


def _uv() -> str:
    return str(Path(sys.executable).with_name("uv"))


def _run(command: Sequence[str], *, stdin: str = "", cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True, check=False, timeout=1200)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no reason given"]
        raise CannotMakeImageError(f"{Path(command[0]).name} failed: {words[-1]}")
    return done.stdout


def main() -> None:
    """Make the project's image and put it where the command line says."""
    import argparse

    parser = argparse.ArgumentParser(description="Make a docker-archive of the project's image; prints its name.")
    parser.add_argument("--extra", action="append", help="an extra of the project; flytekit by default")
    parser.add_argument("--engine", action="store_true", help="the image that the Dockerfile describes")
    parser.add_argument("file", type=Path)
    chosen = parser.parse_args()
    image = engine_image() if chosen.engine else project_image(chosen.extra or ("flytekit",))
    shutil.copy(image.archive, chosen.file)
    print(image.name)


if __name__ == "__main__":
    main()
