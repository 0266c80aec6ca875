"""What one engine knows of tokens, whatever the order in which it comes to know it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airscrew.engine.quotas.slots import NOBODY, Slots
from airscrew.idl.ids import AttemptKey, ExecutionId
from airscrew.state.records import TokenHolder

A = ExecutionId("team-a", "one")


def holder(namespace: str = "team-a", project: str = "") -> TokenHolder:
    return TokenHolder(execution=f"{namespace}/x", key=AttemptKey("k"), project=project)


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=12), st.randoms(use_true_random=False))
def test_pictures_of_a_token_may_come_late_and_twice_and_the_last_write_counts(
    writes: list[tuple[int, bool]], random: object
) -> None:
    """A token is written and deleted in turns; a read may tell of a write before the watch does."""
    slots, there = Slots(), dict[int, int]()
    for revision, (number, is_read_early) in enumerate(writes, 1):
        token = f"p/{number}"
        if number in there:
            slots.drop(token, revision)
            del there[number]
        else:
            if is_read_early:
                slots.put(token, holder(), revision)
            slots.put(token, holder(), revision)
            there[number] = revision
        for late in range(1, revision):
            if late < there.get(number, 0):
                slots.drop(token, late)

        assert slots.used("p") == len(there)
        assert slots.used("p/namespace=team-a") == len(there)


def test_a_share_counts_those_that_had_begun_before_it_was_set() -> None:
    slots = Slots()
    slots.put("p/0", holder("team-a", project="blue"), 1)
    slots.put("p/1", holder("team-b", project="blue"), 2)

    assert (slots.used("p/namespace=team-a"), slots.used("p/project=blue"), slots.used("p")) == (1, 2, 2)


def test_a_name_that_begins_like_another_one_is_not_charged_for_it() -> None:
    slots = Slots()
    slots.put("p/0", holder("foobar", project="foobar"), 1)

    assert slots.used("p/namespace=foo") == slots.used("p/project=foo") == 0


def test_what_is_reserved_counts_and_is_not_chosen_again() -> None:
    slots = Slots()
    slots.reserve(A, ("p/0", "p/namespace=team-a/0"))

    assert slots.used("p") == slots.used("p/namespace=team-a") == 1
    assert slots.choose(["p"], [2], 1, 0.0) == ("p/1",)
    assert slots.choose(["p"], [1], 1, 0.0) == ()
    assert slots.unreserve(A)
    assert not slots.unreserve(A)
    assert slots.used("p") == 0


def test_all_units_of_all_scopes_are_chosen_or_none() -> None:
    slots = Slots()
    slots.put("p/1", holder(), 1)

    assert slots.choose(["p", "p/namespace=team-a"], [4, 2], 2, 0.3) == (
        "p/2",
        "p/3",
        "p/namespace=team-a/0",
        "p/namespace=team-a/1",
    )
    assert slots.choose(["p", "p/namespace=team-a"], [4, 1], 2, 0.0) == ()


def test_a_key_beyond_the_limit_is_never_chosen_and_still_counts() -> None:
    slots = Slots()
    slots.put("p/7", NOBODY, 1)

    assert slots.used("p") == 1
    assert [slots.choose(["p"], [2], 1, spread) for spread in (0.0, 0.6, 0.99)] == [("p/0",), ("p/1",), ("p/1",)]


def test_a_list_drops_what_is_gone_and_keeps_what_is_newer() -> None:
    slots = Slots()
    slots.put("p/0", holder(), 3)
    slots.put("p/1", holder(), 4)
    slots.put("p/2", holder(), 9)

    slots.keep_only(["p/1"], 5)

    assert slots.used("p") == 2
    assert slots.choose(["p"], [3], 1, 0.0) == ("p/0",)
