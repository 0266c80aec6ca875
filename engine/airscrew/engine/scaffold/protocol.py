"""
The code of a plugin's message, as protoc writes it; its command is the one that the plugin's README tells.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from airscrew.idl.errors import UsageError

PROTOC_SECONDS = 60.0


def with_code(files: Mapping[str, str]) -> dict[str, str]:
    """
    Add the code of the one message that a plugin has.

    Args:
        files: The plugin's, by their paths in its folder.

    Raises:
        UsageError: protoc is not installed, or does not do it.
    """
    if find_spec("grpc_tools") is None:
        raise UsageError("the code of a message is written by protoc: pip install grpcio-tools, or leave out --idl")
    (proto,) = (path for path in files if path.endswith(".proto"))
    with tempfile.TemporaryDirectory(prefix="airscrew-") as place:
        source = Path(place, proto)
        source.parent.mkdir(parents=True)
        source.write_text(files[proto], "utf8")
        _compile(Path(place), proto)
        code = {f"{proto.removesuffix('.proto')}_pb2{suffix}": "" for suffix in (".py", ".pyi")}
        return {**files, **{path: Path(place, path).read_text("utf8") for path in code}}


def _compile(folder: Path, proto: str) -> None:
    words = ["-m", "grpc_tools.protoc", "-I", "src", "--python_out=src", "--pyi_out=src", proto]
    done = subprocess.run(  # noqa: S603 - what is run is this module's own
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=PROTOC_SECONDS, check=False
    )
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines() or [f"it ended with {done.returncode}"]
        raise UsageError(f"protoc does not write the code of {proto}: {told[-1]}")
