"""
What the page on Slurm says of the configuration and of the ends of jobs is so.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from airscrew.idl.errors import ErrorKind
from airscrew.plugins.slurm.config import Cluster, read_config
from airscrew.plugins.slurm.decide import FAILURES
from airscrew.plugins.slurm.request import OURS

PAGE = (Path(__file__).parents[2] / "docs" / "slurm.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]
WHOSE = {"the user's": ErrorKind.USER, "the system's": ErrorKind.SYSTEM}


def words(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_the_configuration_of_the_page_is_one() -> None:
    (block, *_) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    config = read_config(yaml.safe_load(block)["executors"]["slurm"])

    assert list(config.clusters) == ["local", "big"]


def test_every_member_of_a_cluster_is_told_of_with_its_default() -> None:
    told = {name: row[1] for row in ROWS if len(row) == 3 for name in words(row[0]) if name.islower()}
    defaults = msgspec.to_builtins(Cluster())
    numbers = {name: value for name, value in told.items() if re.fullmatch(r"[\d.]+|true|false", value)}

    assert told.keys() == defaults.keys()
    assert {name: yaml.safe_load(value) for name, value in numbers.items()} == {
        name: defaults[name] for name in numbers
    }
    assert len(numbers) >= 6


@pytest.mark.parametrize("word", FAILURES)
def test_every_end_is_told_of_as_it_is_decided(word: str) -> None:
    phase, _, kind, _ = FAILURES[word]

    (row,) = (row for row in ROWS if word in words(row[0]))

    assert WHOSE[row[2]] is kind
    assert row[1].startswith("may be tried again" if phase.name.startswith("RETRYABLE") else "fails for good")


def test_options_that_are_told_of_as_refused_are() -> None:
    (sentence,) = re.findall(r"`array`[^.]*is refused", PAGE)

    assert set(words(sentence)) <= OURS
