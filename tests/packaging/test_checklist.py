"""
Nothing of ``tests/checklist.toml`` is forgotten, and every test that it names exists.
"""

from __future__ import annotations

import re
import sys
import tomllib
from typing import TypedDict, cast

import pytest
from tests.packaging.tree import ROOT, run

LATER = {"The cluster", "External jobs", "Proof", "Speed and endurance"}

MISSED = """
    phase-version-rule state-apart-from-events error-matrix two-retry-budgets abort-before-the-next-attempt
    cleanup-on-failure clean-up-on-every-exit identity-object adoption-is-checked waiting-or-never
    token-idempotency-and-lease sync-failure-budget cache-eviction stale-processing-marker poison-breaker
    stale-read-guard output-validation error-document futures-document template-laziness pod-template-merge
    resource-precedence pending-reason-table interruptible-downgrade event-deduplication cache-reservation-heartbeat
    plugin-panics restart-from-every-write secret-hygiene shard-hand-over
"""
DEFECTS = """
    version-drops-cleanup state-cannot-be-reset phase-version-as-state-version state-lost-without-a-report
    mixed-case-names reasons-not-told informer-of-the-wrong-cluster equal-to-the-quota grace-from-the-wrong-instant
    write-rate-unused namespace-quota-falls-nowhere running-for-ever project-by-prefix namespace-quota-never-told
    token-without-lease state-of-another-type token-in-the-state memory-from-cpu launch-error-overwritten
    queue-without-done ready-callback-never-called reported-as-occurred waiting-for-cache-undefined
"""
CACHE_DEFECTS = """
    two-syncs-at-once ghost-mark check-then-add panic-ends-polling shut-down-hangs terminal-overwritten
    silent-eviction no-jitter no-push no-age no-backoff owner-not-woken
"""
KNOWN = [
    *MISSED.split(),
    *(f"defect-{name}" for name in DEFECTS.split()),
    *(f"cache-defect-{name}" for name in CACHE_DEFECTS.split()),
]


class Item(TypedDict, total=False):
    """One entry of the list: what it says, and exactly one of the other three."""

    says: str
    test: str | list[str]
    issue: str
    na: str


ITEMS = cast("dict[str, Item]", tomllib.loads((ROOT / "tests" / "checklist.toml").read_text("utf8")))


def named_tests(items: dict[str, Item]) -> set[str]:
    """The ids of all tests that the list names."""
    named = [item["test"] for item in items.values() if "test" in item]
    return {one for entry in named for one in ([entry] if isinstance(entry, str) else entry)}


def mistakes(name: str, item: Item) -> list[str]:
    """What is wrong with one entry."""
    given = {"test", "issue", "na"} & item.keys()
    found = [f"{name}: unknown key {key}" for key in item.keys() - {"says", "test", "issue", "na"}]
    if not item.get("says", "").endswith("."):
        found.append(f"{name}: says nothing")
    if len(given) != 1 or not all(item.get(key) for key in given):
        found.append(f"{name}: has to have exactly one of test, issue, na")
    if "issue" in item and item["issue"] not in LATER:
        found.append(f"{name}: no later issue is called {item['issue']!r}")
    return found


@pytest.fixture(scope="module")
def collected() -> set[str]:
    """The ids that pytest collects from the files that the list names."""
    files = sorted({one.partition("::")[0] for one in named_tests(ITEMS)})
    missing = [file for file in files if not (ROOT / file).is_file()]
    assert missing == []
    done = run(sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:xdist", *files)
    assert done.returncode == 0, done.stdout
    return {line for line in done.stdout.splitlines() if "::" in line}


def test_the_list_is_complete() -> None:
    assert sorted(ITEMS) == sorted(KNOWN)


def test_every_item_says_where_it_stands() -> None:
    found = [mistake for name, item in ITEMS.items() for mistake in mistakes(name, item)]

    assert found == []


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"says": "It is so."},
        {"says": "It is so.", "test": ""},
        {"says": "It is so.", "test": "a::b", "issue": "The cluster"},
        {"says": "It is so.", "issue": "Some day"},
        {"says": "It is so.", "note": "later", "na": "not here"},
        {"test": "a::b"},
    ],
)
def test_an_item_that_says_nothing_is_found(item: Item) -> None:
    assert mistakes("x", item)


def test_every_test_that_is_named_is_collected(collected: set[str]) -> None:
    without_parameters = {re.sub(r"\[.*", "", one) for one in collected}

    assert sorted(named_tests(ITEMS) - collected - without_parameters) == []


def test_most_of_it_stands() -> None:
    later = [name for name, item in ITEMS.items() if "issue" in item]

    assert len(later) < len(ITEMS) / 3
