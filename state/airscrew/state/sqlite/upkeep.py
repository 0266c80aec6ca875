"""
When to tidy up, and how much at once: pure.

History older than what is kept goes in pieces, in pauses; when pauses do not come, a piece goes between two
groups, so that the file's size stays bounded. The room that it leaves is given back in pauses alone; rows that it
leaves between gaps are moved together first, at most one for each that went, so that this costs no more than what was
written. When a write finds no room, all history goes before the write is refused. The index takes in what was written
when that is much: the more at once, the fewer pages for each.
"""

from __future__ import annotations

from dataclasses import dataclass

SWEEP_REVISIONS = 1000
"""How many revisions one piece deletes."""

PACK_ROWS = 1000
"""How many rows must be gone before it is worth while to move others together."""

SHRINK_PAGES = 512
"""How many pages one piece gives back."""

SLACK_PAGES = 256
"""Free pages that are kept for the next writes."""

URGENT_REVISIONS = 10 * SWEEP_REVISIONS
"""How far the sweep may lag behind before it no longer waits for a pause."""


@dataclass(frozen=True, slots=True)
class Flush:
    """Bring the index up to date."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Delete what was superseded up to and with a revision."""

    last: int


@dataclass(frozen=True, slots=True)
class Pack:
    """Move the next rows together; what is superseded is gone from between them."""


@dataclass(frozen=True, slots=True)
class Shrink:
    """Give free pages back; after the last of them, fold SQLite's log."""

    pages: int
    is_last: bool


Piece = Flush | Sweep | Pack | Shrink


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    What the decision rests on.

    Attributes:
        revision: The newest revision.
        compacted: The newest revision that is compacted.
        swept: The newest revision that is swept.
        gaps: How many rows went since those beside them were moved together.
        free_pages: How many pages are free.
        unindexed: How many writes the index lags behind.
    """

    revision: int
    compacted: int
    swept: int
    gaps: int
    free_pages: int
    unindexed: int


def next_piece(standing: Standing, *, keep_revisions: int, flush_writes: int, idle: bool) -> Piece | None:
    """
    Return what to tidy next; None when nothing is due.

    Args:
        standing: How the store stands.
        keep_revisions: How much history to keep at least.
        flush_writes: How many writes the index may lag behind.
        idle: Whether nothing waits.
    """
    if standing.unindexed >= flush_writes:
        return Flush()
    target = standing.compacted
    if standing.revision - standing.compacted >= keep_revisions + SWEEP_REVISIONS:
        target = standing.revision - keep_revisions
    lag = target - standing.swept
    if lag > 0 and (idle or lag > URGENT_REVISIONS):
        return Sweep(min(target, standing.swept + SWEEP_REVISIONS))
    if not idle or lag > 0:
        return None
    if standing.gaps >= PACK_ROWS:
        return Pack()
    spare = standing.free_pages - SLACK_PAGES
    if spare > 0:
        return Shrink(min(spare, SHRINK_PAGES), is_last=spare <= SHRINK_PAGES)
    return None


def next_sacrifice(standing: Standing) -> Sweep | None:
    """Return what history to give up next when there is no room for a write; None when there is none left."""
    if standing.swept >= standing.revision:
        return None
    return Sweep(min(standing.revision, standing.swept + SWEEP_REVISIONS))
