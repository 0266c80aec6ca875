"""
Packages as ``pyflyte package`` writes them: a tar.gz of serialized specs, and the code beside them with ``--fast``.

Files are numbered in the order of registration, and that is the order here. Nothing is unpacked to disk, no name in the
archive is used as a path, and a hostile archive is bounded in files and bytes.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from typing_extensions import override

from airscrew.idl.errors import UsageError
from airscrew.idl.template.loaded import Distribution, Loaded, LoadedTemplate, Skipped
from airscrew.idl.template.read_binary import read_binary
from airscrew.idl.template.task_template import MAX_TEMPLATE_BYTES

if TYPE_CHECKING:
    import tarfile

GZIP_MAGIC = b"\x1f\x8b"

_MAX_FILES = 10_000
_MAX_SPEC_BYTES = 8 * MAX_TEMPLATE_BYTES
_MAX_CODE_BYTES = 512 * 1024 * 1024
_MAX_ALL_BYTES = 2 * _MAX_CODE_BYTES
_CODE_ENDINGS = (".tar.gz", ".tgz")


def read_package(data: bytes, source: str) -> Loaded:
    """
    Read every task of a package.

    Raises:
        UsageError: It is no package, or no task is in it.
    """
    templates: list[LoadedTemplate] = []
    skipped: list[Skipped] = []
    distribution: Distribution | None = None
    for name, content in sorted(_files(data, source), key=_registration_order):
        if name.endswith(_CODE_ENDINGS):
            distribution = Distribution(name=name, data=content)
            continue
        found = read_binary(content, name) if name.endswith(".pb") else None
        if found is None:
            skipped.append(Skipped(source=name, reason="is not a serialized task, workflow or launch plan"))
        else:
            templates += found.templates
            skipped += found.skipped
    if not templates:
        found_names = ", ".join(one.source for one in skipped[:5]) or "nothing"
        raise UsageError(f"{source} is no package of tasks as 'pyflyte package' writes: it holds {found_names}")
    return Loaded(templates=tuple(templates), skipped=tuple(skipped), distribution=distribution)


def _files(data: bytes, source: str) -> Iterator[tuple[str, bytes]]:
    import tarfile

    try:
        with _BoundedGzip(fileobj=io.BytesIO(data)) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
            for count, member in enumerate(archive):
                if count >= _MAX_FILES:
                    raise UsageError(f"{source} is too large for a package of tasks")
                if member.isfile():
                    yield member.name, _content(archive, member, source)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError) as error:
        problem = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"{source} is gzip, but no tar of a 'pyflyte package': {problem}") from None


def _registration_order(file: tuple[str, bytes]) -> tuple[int, str]:
    """Order by the number that a file's name begins with: the archive itself has the order of a folder."""
    number = file[0].rpartition("/")[2].partition("_")[0][:9]
    return int(number) if number.isdecimal() else 0, file[0]


class _BoundedGzip(gzip.GzipFile):
    """Reads up to a bound: a small archive can unpack to any size."""

    _left = _MAX_ALL_BYTES

    @override
    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self._left -= len(data)
        if self._left < 0:
            raise OSError(f"it unpacks to more than {_MAX_ALL_BYTES:,} bytes")
        return data


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, source: str) -> bytes:
    limit = _MAX_CODE_BYTES if member.name.endswith(_CODE_ENDINGS) else _MAX_SPEC_BYTES
    if member.size > limit:
        raise UsageError(f"{source}: {member.name} has {member.size:,} bytes, more than {limit:,}")
    content = archive.extractfile(member)
    assert content is not None, "regular files have content"
    return content.read()
