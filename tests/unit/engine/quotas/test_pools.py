"""Which pool a task is in, and what limits it there."""

from __future__ import annotations

import pytest

from airscrew.engine.config import Quota
from airscrew.engine.quotas import MAX_UNITS, Pools
from airscrew.engine.quotas.pools import priority_of, title

POOLS = Pools(
    {
        "hive": Quota(limit=10, executors=("athena",), namespace=3, namespaces={"big": 8}, projects={"a/b c": 2}),
        "open": Quota(limit=5),
    }
)


@pytest.mark.parametrize(
    ("executor", "own", "need"),
    [
        ("athena", ("", 1), ("hive", 1)),
        ("athena", ("open", 3), ("hive", 1)),
        ("athena", ("hive", 3), ("hive", 3)),
        ("trino", ("open", 3), ("open", 3)),
        ("trino", ("closed", 3), None),
        ("trino", ("", 1), None),
    ],
)
def test_the_operator_binds_and_else_the_executor_says(
    executor: str, own: tuple[str, int], need: tuple[str, int] | None
) -> None:
    assert POOLS.need(executor, own) == need


def test_a_task_is_in_its_pool_and_in_the_shares_that_are_limited() -> None:
    assert POOLS.scopes("hive", "small", "x") == ("hive", "hive/namespace=small")
    assert POOLS.scopes("hive", "big", "a/b c") == ("hive", "hive/namespace=big", "hive/project=a%2Fb%20c")
    assert POOLS.scopes("open", "small", "x") == ("open",)


def test_shares_have_limits_of_their_own() -> None:
    limits = [POOLS.limit(scope) for scope in ("hive", "hive/namespace=x", "hive/namespace=big", "hive/project=x", "?")]

    assert limits == [10, 3, 8, None, None]
    assert POOLS.limit("hive/project=a%2Fb%20c") == 2


def test_people_read_scopes() -> None:
    assert title("hive") == "hive"
    assert title("hive/project=a%2Fb%20c") == "hive (project a/b c)"


def test_what_can_never_be_had_is_refused_and_a_closed_pool_is_waited_for() -> None:
    assert POOLS.refusal("open", 5) == ""
    assert POOLS.refusal("open", 6) == "6 units of quota open are asked for and it has 5"
    assert "1 to 20" in POOLS.refusal("closed", MAX_UNITS + 1)
    assert Pools({"shut": Quota(limit=0)}).refusal("shut", 3) == ""


@pytest.mark.parametrize(("label", "priority"), [("5", 5), ("-2", -2), ("high", 0), (None, 0)])
def test_a_priority_is_a_whole_number(label: str | None, priority: int) -> None:
    assert priority_of({} if label is None else {"airscrew/priority": label}) == priority
