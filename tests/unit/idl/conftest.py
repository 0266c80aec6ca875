"""
What the tests of the nouns share: the templates that the real SDKs made.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airscrew.idl.template import TaskTemplate, load_one

TEMPLATES = Path(__file__).parents[2] / "data" / "templates"


@pytest.fixture(scope="session")
def template_bytes() -> Callable[[str], bytes]:
    """Reads a file of the SDKs' templates, as ``v1/basic.add.pb``."""
    return lambda name: (TEMPLATES / name).read_bytes()


@pytest.fixture(scope="session")
def sdk_template(template_bytes: Callable[[str], bytes]) -> Callable[[str], TaskTemplate]:
    """Loads one template of the SDKs, as ``v1/basic.add``."""
    return lambda name: load_one(template_bytes(f"{name}.pb"))


@pytest.fixture
def without_flyte2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes flyteidl2 as good as not installed."""

    def refuse(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("airscrew.idl.wire.import_module", refuse)
