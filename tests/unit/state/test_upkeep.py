from __future__ import annotations

import pytest

from airscrew.state.sqlite.upkeep import (
    PACK_ROWS,
    SLACK_PAGES,
    Flush,
    Pack,
    Piece,
    Shrink,
    Standing,
    Sweep,
    next_piece,
    next_sacrifice,
)


def standing(
    revision: int = 0, compacted: int = 0, swept: int = 0, gaps: int = 0, free_pages: int = 0, unindexed: int = 0
) -> Standing:
    return Standing(
        revision=revision,
        compacted=compacted,
        swept=swept,
        gaps=gaps,
        free_pages=free_pages,
        unindexed=unindexed,
    )


@pytest.mark.parametrize(
    ("now", "idle", "piece"),
    [
        (standing(revision=10_000), True, None),
        (standing(revision=10_999), True, None),
        (standing(revision=11_000), True, Sweep(1000)),
        (standing(revision=11_000), False, None),
        (standing(revision=20_000), False, None),
        (standing(revision=20_002, compacted=1), False, Sweep(1000)),
        (standing(revision=500, compacted=300), True, Sweep(300)),
        (standing(revision=500, compacted=300, swept=300), True, None),
        (standing(free_pages=SLACK_PAGES), True, None),
        (standing(free_pages=SLACK_PAGES + 600), True, Shrink(512, is_last=False)),
        (standing(free_pages=SLACK_PAGES + 100), True, Shrink(100, is_last=True)),
        (standing(free_pages=SLACK_PAGES + 100), False, None),
        (standing(gaps=PACK_ROWS - 1), True, None),
        (standing(gaps=PACK_ROWS, free_pages=SLACK_PAGES + 100), True, Pack()),
        (standing(gaps=PACK_ROWS), False, None),
        (standing(revision=500, compacted=300, gaps=PACK_ROWS), True, Sweep(300)),
        (standing(revision=400, unindexed=499), True, None),
        (standing(revision=400, unindexed=500), False, Flush()),
        (standing(revision=20_002, compacted=1, unindexed=500), False, Flush()),
        (standing(revision=9, compacted=9, free_pages=SLACK_PAGES + 100), True, Sweep(9)),
    ],
)
def test_pieces_are_small_and_wait_for_a_pause_while_they_can(now: Standing, idle: bool, piece: Piece | None) -> None:
    assert next_piece(now, keep_revisions=10_000, flush_writes=500, idle=idle) == piece


def test_without_room_all_history_goes_piece_by_piece() -> None:
    assert next_sacrifice(standing(revision=1500)) == Sweep(1000)
    assert next_sacrifice(standing(revision=1500, compacted=1000, swept=1000)) == Sweep(1500)
    assert next_sacrifice(standing(revision=1500, compacted=1500, swept=1500)) is None


def test_a_sweep_never_lags_far_behind_without_pauses() -> None:
    revision, compacted, swept = 0, 0, 0
    for _ in range(1000):
        revision += 128
        piece = next_piece(standing(revision, compacted, swept), keep_revisions=1000, flush_writes=500, idle=False)
        if isinstance(piece, Sweep):
            compacted, swept = max(compacted, piece.last), piece.last

        assert revision - swept < 1000 + 12_000
