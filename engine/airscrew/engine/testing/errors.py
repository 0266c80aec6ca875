"""
What the testing kit raises.

``ConformanceError``   an executor does what its contract forbids; the message is one line that says what
``NotApplicable``      a check has no meaning for an executor; the message says why
"""

from __future__ import annotations

from airscrew.idl.errors import AirscrewError


class ConformanceError(AirscrewError, AssertionError):
    """The executor breaks its contract."""


class NotApplicable(AirscrewError):  # noqa: N818 - no error: an answer
    """The check cannot be made for this executor, for a reason that is given."""


def expect(condition: bool, message: str) -> None:
    """
    Insist on a condition.

    Raises:
        ConformanceError: It does not hold.
    """
    if not condition:
        raise ConformanceError(message)
