"""The page of performance is what its generator makes, and says of each figure whether it is as it is to be."""

from __future__ import annotations

import json
from pathlib import Path

from tests.performance import collection as collection_module
from tests.performance import page
from tests.performance.runs import RUNS, Bar, by_size, number
from tests.performance.soak import Look, Plan, growth, soak

SQLITE = RUNS[0]


def result(tmp_path: Path, *, busy: float = 0.0, small: bool = False, **figures: float) -> page.Result:
    made = {"name": SQLITE.name, "date": "2026-01-02", "machine": "P, Linux x, 2 cores", "busy": busy, "small": small}
    usual = {"tasks_per_s": 3100.5, "cpu_ms_per_task": 0.31, "revisions_per_task": 0.2, "ratio": 0.5}
    (tmp_path / "x.json").write_text(json.dumps({**made, "figures": usual | figures}))
    return page.read_file(tmp_path / "x.json")


def test_the_page_is_what_its_generator_makes_of_its_figures() -> None:
    text = page.PAGE.read_text()

    assert page.render(page.read_page(text)) == text, "run: python -m tests.performance --page"


def test_the_figures_of_small_runs_are_on_no_page() -> None:
    assert not any(one.small for one in page.read_page(page.PAGE.read_text()).values())


def test_results_are_read_off_the_page_as_they_were_written(tmp_path: Path) -> None:
    one = result(tmp_path)

    assert page.read_page(page.render({one.name: one})) == {one.name: one}


def test_each_figure_stands_beside_what_it_is_to_be(tmp_path: Path) -> None:
    one = result(tmp_path, cpu_ms_per_task=0.5)

    text = page.render({one.name: one})

    assert "| ratio | 0.5 | >= 0.4 | met |" in text
    assert "| cpu_ms_per_task | 0.5 | <= 0.4 | missed |" in text
    assert "| airscrew, no Pod, sqlite | 0.5 | 0.2 of its store | 3100.5 |" in text
    assert "- `engine-etcd`: " in text


def test_figures_of_a_busy_machine_are_not_judged(tmp_path: Path) -> None:
    one = result(tmp_path, busy=0.8)

    text = page.render({one.name: one})

    assert "80 % busy)" in text
    assert "| ratio | 0.5 | >= 0.4 | not judged |" in text
    assert "| airscrew, no Pod, sqlite, not to be compared |" in text


def test_the_sizes_are_compared_by_their_medians() -> None:
    found = [{"tasks": size, "cpu_ms_per_task": value} for size, value in ((10, 1.0), (10, 9.0), (10, 2.0), (20, 3.0))]

    assert by_size(found) == {
        "cpu_ms_per_task_at_10": 2.0,
        "cpu_ms_per_task_at_20": 3.0,
        "largest_by_smallest": 1.5,
    }


def test_a_bar_is_met_from_its_own_side() -> None:
    assert [Bar(least=2).is_met(value) for value in (1, 2, 3)] == [False, True, True]
    assert [Bar(most=2).is_met(value) for value in (1, 2, 3)] == [True, True, False]


def test_growth_is_the_second_half_of_a_life_over_its_first_once_it_has_settled() -> None:
    lives = [
        [
            Look(age=age, held={"rss_mb": value})
            for age, value in ((1, 900.0), (5, 100.0), (6, 90.0), (7, 120.0), (8, 80))
        ],
        [Look(age=age, held={"rss_mb": value}) for age, value in ((5, 50.0), (6, 40.0))],
    ]

    assert growth(lives, settle=5) == {"rss_mb_growth": 1.2, "rss_mb_most": 120.0}


def test_a_short_soak_loses_nothing_over_a_restart(tmp_path: Path) -> None:
    figures = soak(tmp_path, Plan(tasks=200, seconds=5, lives=2, settle=1, look=0.5))

    assert (figures["tasks"], figures["restarts"], figures["outputs_read_back"]) == (200, 1, 10)
    assert (figures["wrong_outputs"], figures["unfinished"]) == (0, 0)


def test_a_short_collection_leaves_what_is_kept(tmp_path: Path) -> None:
    plan = collection_module.Plan(kept=500, tasks=1500, store=f"sqlite:{tmp_path / 'state.db'}")

    figures = collection_module.collection(tmp_path, plan)

    assert figures["collected"] == plan.tasks
    assert number(figures["in_use_mb_after"]) < number(figures["in_use_mb_most"])
    assert number(figures["after_by_before"]) < 1.6, figures
