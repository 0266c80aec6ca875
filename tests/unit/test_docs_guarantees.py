"""
The page of guarantees says what its generator says, and names tests that are there.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import proof
from tests.support import proof_files


def test_the_page_holds_the_promises_of_the_generator() -> None:
    page = proof.PAGE.read_text()

    assert page.partition(proof.MARK)[0] == proof.promises(), "run: python -m tests.proof"


@pytest.mark.parametrize("test", sorted({test for one in proof.PROMISES for test in one.tests}))
def test_a_test_that_the_page_names_is_there(test: str) -> None:
    assert (proof.ROOT / test).is_file()


def test_figures_come_from_the_files_that_runs_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_files, "FOLDER", tmp_path)

    written = proof_files.record("kills-x", {"kills": 12345, "by kind": {"a": 1, "b": 2}})
    page = proof.render("", proof.read_runs(tmp_path))

    assert json.loads(written.read_text())["figures"]["kills"] == 12345
    assert "| kills | 12 345 |" in page
    assert "| by kind | a 1, b 2 |" in page


def test_figures_of_runs_that_are_not_there_this_time_stay() -> None:
    def run(name: str, kills: int) -> dict[str, object]:
        return {"name": name, "date": "2026-01-01", "machine": "M, 2 cores", "figures": {"kills": kills}}

    first = proof.render("", [run("a", 1), run("b", 2)])
    second = proof.render(first, [run("b", 3)])

    assert proof.sections(second)["a"] == proof.section(run("a", 1))
    assert "| kills | 3 |" in second
    assert "| kills | 2 |" not in second


def test_a_campaign_of_the_simulation_is_told_in_figures(tmp_path: Path) -> None:
    told = {
        "first_seed": 0,
        "seeds": 3,
        "violated": {"1": ["4: stuck"]},
        "faults": {"crash": 7},
        "per_seed": {"lives": {"2": 1, "5": 2}},
        "chosen": 1,
        "crash_sites": [{"site": "a.py:3", "crashes": 0}, {"site": "a.py:7", "crashes": 25}],
        "beyond": [{"function": "wait", "awaits": "sleep(", "why": "real time"}],
    }
    (tmp_path / "campaign.json").write_text(json.dumps(told))

    page = proof.render("", proof.read_campaign(tmp_path / "campaign.json"))

    assert "| seeds with a violated invariant | 1 |" in page
    assert "| lives a seed | 2 to 5, median 5 |" in page
    assert "| of these never crashed at | 1 |" in page
    assert "| a.py | 2 awaits, each crashed at 0 to 25 times |" in page
    assert "| not come to: `wait` sleep( | real time |" in page
    assert proof.read_campaign(tmp_path / "none.json") == []
