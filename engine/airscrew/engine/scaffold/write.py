"""
Writing a new plugin: all of its files, or none.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from airscrew.idl.errors import UsageError


def write_package(folder: Path, files: Mapping[str, str]) -> None:
    """
    Write files below a folder that is not there yet.

    Args:
        folder: The new folder; what it lies in has to be there.
        files: What is written, by paths below it.

    Raises:
        UsageError: The folder is there already, or cannot be written.
    """
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already: give another place by --folder, or another name")
    draft: Path | None = None
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        for path, text in files.items():
            place = draft / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, "utf8")
        draft.chmod(0o755)
        draft.rename(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        if draft is not None and draft.exists():
            shutil.rmtree(draft)
