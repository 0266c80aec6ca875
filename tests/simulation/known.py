"""
Seeds that violate an invariant today: defects that are known and open, each with what it shows.

Each is a test that is expected to fail; whoever mends one takes it out. All are runs of several engines on one store.
"""

from __future__ import annotations

KNOWN = {
    142: "a job that a former owner's late start made is live after its execution's end, and nobody kills it",
    231: "a job that a former owner's late start made is live after its execution's end, and nobody kills it",
}
