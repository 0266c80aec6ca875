"""
What the API server's refusal of a creation means. Pure.

    409 AlreadyExists                       There: somebody has to look whose it is
    403 quota that may be freed             QuotaFull, a NotStarted with what is used and what there is
    403 quota that nobody has counted yet   NotStarted: its controller is about to
    403 quota that never suffices           PermanentError ResourceRequestsExceedLimits
    403 the API server has just started     NotStarted: it says that it is not ready yet
    403 a LimitRange, a missing limit       PermanentError ResourceRequestsExceedLimits, BadTaskFormat
    403 PodSecurity, no service account     PermanentError PodSecurityViolation, ServiceAccountNotFound
    403 otherwise                           PermanentError SYSTEM Forbidden: we lack a right there
    404                                     PermanentError NamespaceNotFound
    400, 422                                PermanentError BadTaskFormat
    413                                     PermanentError EntityTooLarge
    401                                     NotStarted: our credentials have run out
    429                                     NotStarted, no sooner than the server asks
    everything else                         Unknown: it may have been created

A request that is as large as the whole quota fits: it waits until the others are gone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import NotStarted
from airscrew.idl.errors import ErrorKind
from airscrew.idl.quantity import read_quantity

_QUOTA = re.compile(
    r"exceeded quota: (?P<name>[^,]+), requested: (?P<requested>\S+), used: (?P<used>\S+), limited: (?P<limited>\S+)"
)

_NOT_YET = ("status unknown for quota", "not yet ready to handle request")
"""What 403 says of a moment that passes."""

_FORBIDDEN = (
    ("must specify ", "BadTaskFormat"),
    ("violates PodSecurity", "PodSecurityViolation"),
    ("error looking up service account", "ServiceAccountNotFound"),
    ("because it is being terminated", "NamespaceTerminating"),
    (" usage per ", "ResourceRequestsExceedLimits"),
)
"""What a message of 403 says, and the code of the user's error that it is; looked at in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """
    An answer other than success.

    Attributes:
        status: The status of HTTP.
        reason: Kubernetes' word for it: ``AlreadyExists``, ``Forbidden``…
        message: What it says to people.
        retry_after: Seconds that the server asks for, if it does.
    """

    status: int
    reason: str = ""
    message: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class QuotaFull(NotStarted):
    """
    A quota is used up for now.

    Attributes:
        left: What there was left of what was not enough, by the quota's names.
    """

    left: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])


@dataclass(frozen=True, slots=True)
class There:
    """An object of this name is there already: ours or another's."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """
    It may have been created: to be resolved by its key.

    Attributes:
        reason: One line for people.
    """

    reason: str


def read_refusal(refusal: Refusal) -> There | NotStarted | PermanentError | Unknown:
    """Tell what to do about a creation that was refused; an error is returned, and the caller raises it."""
    message = refusal.message or refusal.reason or f"the API server answers {refusal.status}"
    match refusal.status:
        case 409 if refusal.reason in {"AlreadyExists", ""}:
            return There()
        case 400 | 422:
            return PermanentError(message, code="BadTaskFormat")
        case 401:
            return NotStarted(f"the API server does not know airscrew any more: {message}", refusal.retry_after)
        case 403:
            return _forbidden(message)
        case 404:
            return PermanentError(message, code="NamespaceNotFound")
        case 413:
            return PermanentError(message, code="EntityTooLarge")
        case 429:
            return NotStarted(f"the API server is busy: {message}", refusal.retry_after)
        case _:
            return Unknown(message)


def _forbidden(message: str) -> NotStarted | PermanentError:
    quota = _QUOTA.search(message)
    if quota is not None:
        requested, used, limited = (_amounts(quota[name]) for name in ("requested", "used", "limited"))
        never = [name for name, amount in requested.items() if _exceeds(amount, limited.get(name, ""))]
        if never:
            told = ", ".join(f"{name}: {requested[name]} of {limited[name]}" for name in never)
            reason = f"quota {quota['name']} can never give what is asked for: {told}"
            return PermanentError(reason, code="ResourceRequestsExceedLimits")
        told = ", ".join(
            f"{name}: {amount} wanted, {used.get(name, '?')}/{limited.get(name, '?')} used"
            for name, amount in requested.items()
        )
        left = {name: _left(used.get(name, ""), limited.get(name, "")) for name in requested}
        return QuotaFull(f"waiting for quota {quota['name']}: {told}", left=left)
    if any(words in message for words in _NOT_YET):
        return NotStarted(message)
    code = next((code for text, code in _FORBIDDEN if text in message), "")
    if code:
        return PermanentError(message, code=code)
    return PermanentError(message, code="Forbidden", kind=ErrorKind.SYSTEM)


def _amounts(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(","))
    return {name: amount for name, _, amount in pairs if name}


def _left(used: str, limited: str) -> Decimal:
    """Say how much is left; nothing, where that cannot be read."""
    taken, there_is = read_quantity(used), read_quantity(limited)
    return Decimal(0) if taken is None or there_is is None else max(there_is - taken, Decimal(0))


def _exceeds(amount: str, limit: str) -> bool:
    """Tell whether an amount is certainly above a limit; what cannot be read exceeds nothing."""
    wanted, there_is = read_quantity(amount), read_quantity(limit)
    return wanted is not None and there_is is not None and wanted > there_is
