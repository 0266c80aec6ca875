from __future__ import annotations

import pytest

from airscrew.engine.errors import PermanentError, RetryableError
from airscrew.engine.executor import AtMostOnce, Findable, Idempotent, NotStarted
from airscrew.idl.errors import ErrorKind
from airscrew.plugins.webapi import DeniedError, RefusedError, ThrottledError, UnclearError, UnreachableError
from airscrew.plugins.webapi.verdicts import Trouble, http_error, start_result, trouble_of


@pytest.mark.parametrize(
    ("error", "trouble", "is_outage"),
    [
        (ConnectionRefusedError(), Trouble.UNREACHABLE, True),
        (UnreachableError(), Trouble.UNREACHABLE, True),
        (TimeoutError(), Trouble.UNCLEAR, True),
        (ConnectionResetError(), Trouble.UNCLEAR, True),
        (UnclearError(), Trouble.UNCLEAR, True),
        (ThrottledError("x", 3), Trouble.THROTTLED, False),
        (DeniedError(), Trouble.DENIED, False),
        (RefusedError("x"), Trouble.REFUSED, False),
        (PermanentError("x"), Trouble.REFUSED, False),
        (RetryableError("x"), Trouble.REFUSED, False),
        (KeyError("x"), Trouble.OURS, False),
    ],
)
def test_an_error_says_what_became_of_the_request_and_whether_the_provider_is_down(
    error: Exception, trouble: Trouble, is_outage: bool
) -> None:
    assert trouble_of(error) is trouble
    assert trouble.is_outage is is_outage


@pytest.mark.parametrize(
    ("status", "retry_after", "kind"),
    [
        (400, None, RefusedError),
        (404, None, RefusedError),
        (413, None, RefusedError),
        (422, None, RefusedError),
        (401, None, DeniedError),
        (403, None, DeniedError),
        (425, None, ThrottledError),
        (429, None, ThrottledError),
        (429, 7.0, ThrottledError),
        (503, 7.0, ThrottledError),
        (503, None, UnclearError),
        (408, None, UnclearError),
        (409, None, UnclearError),
        (302, None, UnclearError),
        (500, None, UnclearError),
        (504, None, UnclearError),
    ],
)
def test_each_http_status_has_its_error(status: int, retry_after: float | None, kind: type[Exception]) -> None:
    error = http_error(status, "told", retry_after)

    assert type(error) is kind
    assert str(error) == "told"
    if isinstance(error, ThrottledError):
        assert error.retry_after == retry_after


@pytest.mark.parametrize(("told", "taken"), [(None, None), (7.0, 7.0), (-1.0, 0.0), (1e12, 3600.0)])
def test_a_provider_is_left_alone_for_an_hour_at_most(told: float | None, taken: float | None) -> None:
    assert ThrottledError("slow", told).retry_after == taken


@pytest.mark.parametrize(
    ("error", "delay"), [(ConnectionRefusedError("refused"), None), (ThrottledError("slow", 9.0), 9.0)]
)
def test_a_request_of_which_nothing_came_is_not_started(error: Exception, delay: float | None) -> None:
    result = start_result("p", error, AtMostOnce())

    assert isinstance(result, NotStarted)
    assert str(error) in result.reason
    assert result.delay == delay


@pytest.mark.parametrize(
    ("error", "kind", "code", "whose"),
    [
        (RefusedError("x"), PermanentError, "BadTaskSpecification", ErrorKind.USER),
        (RefusedError("x", retryable=True, code="Full"), RetryableError, "Full", ErrorKind.USER),
        (RefusedError("x", kind=ErrorKind.SYSTEM, code="Gone"), PermanentError, "Gone", ErrorKind.SYSTEM),
        (
            RefusedError("x", kind=ErrorKind.SYSTEM, retryable=True),
            RetryableError,
            "BadTaskSpecification",
            ErrorKind.SYSTEM,
        ),
        (DeniedError("x"), PermanentError, "AccessDenied", ErrorKind.SYSTEM),
        (PermanentError("x", code="Own"), PermanentError, "Own", ErrorKind.USER),
    ],
)
def test_a_refusal_ends_the_attempt_or_the_execution_on_somebodys_account(
    error: Exception, kind: type[Exception], code: str, whose: ErrorKind
) -> None:
    result = start_result("p", error, Idempotent())

    assert type(result) is kind
    assert isinstance(result, PermanentError | RetryableError)
    assert (result.code, result.kind) == (code, whose)


@pytest.mark.parametrize("declared", [Idempotent(), Findable()])
@pytest.mark.parametrize("error", [TimeoutError("late"), UnclearError("500"), KeyError("ours")])
def test_what_nobody_knows_is_raised_as_it_is_where_it_can_be_resolved(error: Exception, declared: Findable) -> None:
    assert start_result("p", error, declared) is error


def test_a_request_on_the_wire_that_cannot_be_resolved_says_so() -> None:
    result = start_result("p", TimeoutError("no answer"), AtMostOnce())

    assert isinstance(result, UnclearError)
    assert "p: the request was on the wire" in str(result)
    assert "no answer" in str(result)
