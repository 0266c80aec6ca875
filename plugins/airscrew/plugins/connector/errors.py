"""
What can go wrong between a connector and us; the class tells whether a job may exist.

``ConnectorError``         nobody knows what happened: the request may have arrived
  ``UnreachableError``     certainly nothing was done: no connection came about, or it was turned away at the door
  ``RefusedError``         the connector answered that it does not do this, and never will
    ``NotThereError``      it answered that what was asked for is not there
  ``FailedError``          the connector's own code raised; what it had done by then, it does not say
  ``BadAnswerError``       it answered, and the answer cannot be right
"""

from __future__ import annotations

from airscrew.idl.errors import AirscrewError


class ConnectorError(AirscrewError):
    """The root; the message names the connector."""


class UnreachableError(ConnectorError):
    """Certainly nothing was done."""


class RefusedError(ConnectorError):
    """Asking again does not help, and nothing was done."""


class NotThereError(RefusedError):
    """There is no such thing; of a job: its provider does not know it (any more)."""


class FailedError(ConnectorError):
    """The connector's code raised."""


class BadAnswerError(ConnectorError):
    """An answer that cannot be right: malformed, too large, empty, of no known phase."""
