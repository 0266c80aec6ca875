"""What the page on deploying says can be done: its values render, its helm commands are ones that helm knows."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml
from tests.support.chart import ROOT, helm, render

PAGE = (ROOT / "docs" / "deploying.md").read_text()
BLOCKS = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, re.MULTILINE)


def values() -> list[dict[str, Any]]:
    """The files that the page shows, each from its first line to the end of its block or to a command."""
    text = "\n".join(BLOCKS)
    shown = re.findall(r"^    # values\.yaml\n((?:^    (?!helm|kubectl|docker|airscrew).*\n)+)", text, re.MULTILINE)
    return [yaml.safe_load(re.sub(r"^    ", "", one, flags=re.MULTILINE)) for one in shown]


def commands() -> list[str]:
    lines = (line.strip() for block in BLOCKS for line in block.splitlines())
    return [line for line in lines if line.startswith("helm ")]


def test_the_page_shows_values_and_commands() -> None:
    assert len(values()) == 3
    assert {line.split()[1] for line in commands()} == {"install", "test", "upgrade", "uninstall"}


@pytest.mark.parametrize("shown", values(), ids=",".join)
def test_values_that_are_shown_render(shown: dict[str, Any]) -> None:
    assert render(shown).one("Deployment")


@pytest.mark.parametrize("line", commands())
def test_options_of_a_command_that_is_shown_are_known(line: str) -> None:
    words = shlex.split(line)[1:]
    told = helm(words[0], "--help")

    for option in [word for word in words if word.startswith("-")]:
        assert re.search(rf"(^|\s){re.escape(option)}[\s,]", told), option


def test_every_value_that_the_page_names_is_one() -> None:
    known = yaml.safe_load((ROOT / "charts" / "airscrew" / "values.yaml").read_text())
    named = re.findall(r"`((?:tasks|api|etcd|uninstall|networkPolicy|serviceAccount|rbac)\.[a-zA-Z.]+)", PAGE)

    assert named
    for path in named:
        found = known
        for part in path.rstrip(".").split("."):
            assert part in found, path
            found = found[part]
