"""The generated code is what ``idl/proto/generate`` makes of the protos today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = Path("airscrew/idl/proto")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("generated")
    subprocess.run([sys.executable, ROOT / "idl/proto/generate", output], check=True, timeout=120)
    return output / GENERATED


def contents(folder: Path) -> dict[str, str]:
    files = (path for pattern in ("*.py", "*.pyi") for path in folder.rglob(pattern))
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_the_generated_code_is_current(fresh: Path) -> None:
    checked_in = contents(ROOT / "idl" / GENERATED)

    made = contents(fresh)

    assert sorted(checked_in) == sorted(made)
    stale = [name for name, text in made.items() if checked_in[name] != text]
    assert stale == [], "run idl/proto/generate"


def test_the_generated_code_does_not_ask_for_the_generators_own_releases(fresh: Path) -> None:
    texts = contents(fresh).values()

    assert texts
    assert not [text for text in texts if "ValidateProtobufRuntimeVersion" in text or "GRPC_VERSION" in text]
