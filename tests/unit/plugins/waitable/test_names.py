from __future__ import annotations

from typing import Any

import pytest
from tests.support.literal_maps import literals
from tests.unit.plugins.waitable.waitable_kit import waitable

from airscrew.engine.errors import PermanentError
from airscrew.plugins.waitable.names import Home, awaited_by

HOME = Home("default")


def names(custom: dict[str, Any] | None = None, home: Home = HOME, **inputs: Any) -> list[str]:
    return awaited_by(custom or {}, literals(**inputs).literals, home)


def test_a_name_alone_is_in_the_namespace_of_the_task() -> None:
    assert names(waitable("a"), Home("team")) == ["team/a"]


def test_a_name_with_project_and_domain_is_where_flyte_runs_it_or_where_the_operator_says() -> None:
    message = waitable("a", project="shop", domain="prod")

    assert names(message) == ["shop-prod/a"]
    assert names(message, Home("default", "all-{project}")) == ["all-shop/a"]


def test_inputs_are_looked_through_however_deep_and_each_execution_counts_once() -> None:
    found = names(
        waitable("a"),
        many=([waitable("b"), waitable("a")], list[dict]),
        deep=({"here": [{"there": waitable("c", project="p", domain="d")}]}, dict),
    )

    assert found == ["default/a", "p-d/c", "default/b"]


def test_other_inputs_are_left_alone() -> None:
    assert names(waitable("a"), x=(7, int), y=({"name": "b"}, dict), z=({"wfExecId": {}}, dict)) == ["default/a"]


def test_a_phase_that_comes_along_changes_nothing() -> None:
    assert names({**waitable("a"), "phase": "SUCCEEDED", "workflowId": "w"}) == ["default/a"]


@pytest.mark.parametrize(
    ("custom", "told"),
    [
        ({}, "the task names no execution: set custom.wfExecId"),
        ({"workflowId": "w"}, r"custom\.wfExecId\.name is empty"),
        ({"wfExecID": {"name": "a"}}, "Waitable"),
        (waitable("A b"), "'A b' cannot be waited for"),
    ],
)
def test_a_task_that_names_nothing_is_refused_with_the_way_out(custom: dict[str, Any], told: str) -> None:
    with pytest.raises(PermanentError, match=told):
        names(custom)
