"""
What etcd's and gRPC's errors mean to the store's callers: pure.

A call that failed has certainly not happened, or may have. Only the certain ones are named here; whatever is not
known for sure counts as may have happened.
"""

from __future__ import annotations

from enum import Enum, auto

from airscrew.state.errors import StoreError, StoreFullError, StoreUnavailableError, TooLargeError


class Trouble(Enum):
    """What a failed call calls for."""

    UNSENT = auto()
    """It never left: send it to the next member."""

    AWAY = auto()
    """No answer, or not from a member that can give one: it may have happened; ask another member from now on."""

    TOKEN = auto()
    """It was refused for a token that is no longer good: log in again and send it again."""

    REFUSED = auto()
    """It did not happen and will not, as it is."""

    FULL = auto()
    """It did not happen; there is no room."""

    TOO_LARGE = auto()
    """It did not happen; it is over etcd's limits."""

    COMPACTED = auto()
    """It asked for history that is gone."""

    NO_LEASE = auto()
    """It named a lease that is over; it did not happen."""

    DENIED = auto()
    """It did not happen; who asks is not let in."""


class CallError(Exception):
    """
    A call that failed; it never leaves the store, which turns it into an error of the port.

    Attributes:
        trouble: What it calls for.
        text: What was said about it.
    """

    def __init__(self, trouble: Trouble, text: str) -> None:
        super().__init__(text)
        self.trouble = trouble
        self.text = text


_NEVER_SENT = ("failed to connect to all addresses", "name resolution", "dns resolution", "no children to pick from")
_TOKEN = ("invalid auth token", "revision of auth store is old")
_DENIED = ("permission denied", "authentication failed", "user name is empty", "user name not found", "not enabled")
_FULL = ("database space exceeded",)
_LARGE = ("request is too large", "too many operations", "trying to send message larger", "received message larger")
_COMPACTED = ("required revision has been compacted",)
_LEASE = ("requested lease not found",)

_BY_WORDS = (
    (Trouble.TOKEN, _TOKEN),
    (Trouble.DENIED, _DENIED),
    (Trouble.FULL, _FULL),
    (Trouble.TOO_LARGE, _LARGE),
    (Trouble.COMPACTED, _COMPACTED),
    (Trouble.NO_LEASE, _LEASE),
)
_REFUSALS = frozenset({"INVALID_ARGUMENT", "OUT_OF_RANGE", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED"})
_DENIALS = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})


def classify(code: str, details: str) -> CallError:
    """Say what a status of gRPC (``UNAVAILABLE``, ...) with its text calls for."""
    text = details or code
    low = details.lower()
    if code == "UNAVAILABLE":
        return CallError(Trouble.UNSENT if any(words in low for words in _NEVER_SENT) else Trouble.AWAY, text)
    for trouble, words in _BY_WORDS:
        if any(word in low for word in words):
            return CallError(trouble, text)
    if code in _REFUSALS:
        return CallError(Trouble.REFUSED, text)
    if code in _DENIALS:
        return CallError(Trouble.DENIED, text)
    return CallError(Trouble.AWAY, f"{code}: {text}" if details else text)


def translate(failure: CallError, address: object) -> StoreError:
    """Turn a failure into what the port's methods raise."""
    match failure.trouble:
        case Trouble.FULL:
            return StoreFullError(
                f"no room in the store {address}: {failure.text}; compact and defragment etcd, disarm its NOSPACE "
                "alarm, or raise its quota"
            )
        case Trouble.TOO_LARGE:
            return TooLargeError(f"too large for the store {address}: {failure.text}")
        case Trouble.DENIED | Trouble.TOKEN:
            return StoreUnavailableError(
                f"the store {address} does not let us in: {failure.text}; look at user=, its password and its roles"
            )
        case Trouble.AWAY | Trouble.UNSENT:
            return StoreUnavailableError(f"the store {address} does not answer: {failure.text}")
        case Trouble.REFUSED | Trouble.COMPACTED | Trouble.NO_LEASE:
            return StoreError(f"the store {address} refused a request: {failure.text}")
