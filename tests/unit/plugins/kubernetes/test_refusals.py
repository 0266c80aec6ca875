"""What a refused creation means, row by row."""

from __future__ import annotations

from decimal import Decimal

import pytest

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import NotStarted
from airscrew.idl.errors import ErrorKind
from airscrew.plugins.kubernetes.refusals import QuotaFull, Refusal, There, Unknown, read_refusal


def quota(requested: str, used: str, limited: str) -> str:
    return f'pods "p" is forbidden: exceeded quota: team, requested: {requested}, used: {used}, limited: {limited}'


@pytest.mark.parametrize(
    ("status", "message", "code", "kind"),
    [
        (400, "the API server cannot read this", "BadTaskFormat", ErrorKind.USER),
        (422, 'Pod "p" is invalid: spec.containers[0].image: Required value', "BadTaskFormat", ErrorKind.USER),
        (413, "Request entity too large: limit is 3145728", "EntityTooLarge", ErrorKind.USER),
        (404, 'namespaces "nowhere" not found', "NamespaceNotFound", ErrorKind.USER),
        (
            403,
            'pods "p" is forbidden: error looking up service account a/b: serviceaccount "b" not found',
            "ServiceAccountNotFound",
            ErrorKind.USER,
        ),
        (
            403,
            'pods "p" is forbidden: violates PodSecurity "restricted:latest": privileged',
            "PodSecurityViolation",
            None,
        ),
        (403, 'pods "p" is forbidden: failed quota: team: must specify limits.cpu for: main', "BadTaskFormat", None),
        (
            403,
            'pods "p" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
            "ResourceRequestsExceedLimits",
            None,
        ),
        (
            403,
            'pods "p" is forbidden: unable to create new content in namespace a because it is being terminated',
            "NamespaceTerminating",
            None,
        ),
        (
            403,
            'pods is forbidden: User "system:serviceaccount:a:airscrew" cannot create resource "pods" in API group ""',
            "Forbidden",
            ErrorKind.SYSTEM,
        ),
    ],
)
def test_what_can_never_be_created_fails_for_good(status: int, message: str, code: str, kind: ErrorKind | None) -> None:
    error = read_refusal(Refusal(status=status, message=message))

    assert isinstance(error, PermanentError)
    assert (error.code, error.kind, str(error)) == (code, kind or ErrorKind.USER, message)


def test_a_quota_that_is_used_up_is_waited_for_with_what_is_used() -> None:
    message = quota(
        "limits.cpu=2,requests.nvidia.com/gpu=1",
        "limits.cpu=3500m,requests.nvidia.com/gpu=0",
        "limits.cpu=4,requests.nvidia.com/gpu=8",
    )

    told = read_refusal(Refusal(status=403, message=message))

    assert told == QuotaFull(
        "waiting for quota team: limits.cpu: 2 wanted, 3500m/4 used, requests.nvidia.com/gpu: 1 wanted, 0/8 used",
        left={"limits.cpu": Decimal("0.5"), "requests.nvidia.com/gpu": Decimal(8)},
    )


@pytest.mark.parametrize("words", ["status unknown for quota: few, resources: pods", "not yet ready to handle request"])
def test_what_is_forbidden_for_a_moment_is_waited_for(words: str) -> None:
    message = f'pods "p" is forbidden: {words}'

    assert isinstance(read_refusal(Refusal(status=403, message=message)), NotStarted)


def test_a_request_as_large_as_the_whole_quota_fits() -> None:
    told = read_refusal(Refusal(status=403, message=quota("memory=4096Mi", "memory=1Gi", "memory=4Gi")))

    assert isinstance(told, NotStarted)


@pytest.mark.parametrize(("wanted", "limit"), [("4097Mi", "4Gi"), ("2001m", "2"), ("1.5", "1"), ("2k", "1999")])
def test_a_request_larger_than_the_whole_quota_never_fits(wanted: str, limit: str) -> None:
    error = read_refusal(Refusal(status=403, message=quota(f"a=1,b={wanted}", "a=9,b=0", f"a=9,b={limit}")))

    assert isinstance(error, PermanentError)
    assert error.code == "ResourceRequestsExceedLimits"
    assert str(error) == f"quota team can never give what is asked for: b: {wanted} of {limit}"


def test_a_quantity_that_nobody_can_read_never_ends_a_task() -> None:
    assert isinstance(read_refusal(Refusal(status=403, message=quota("a=1..2", "a=0", "a=x"))), NotStarted)


def test_a_busy_server_is_left_alone_as_long_as_it_asks() -> None:
    told = read_refusal(Refusal(status=429, message="too many requests", retry_after=7.0))

    assert told == NotStarted("the API server is busy: too many requests", 7.0)


def test_credentials_that_ran_out_cost_no_attempt() -> None:
    assert isinstance(read_refusal(Refusal(status=401, message="Unauthorized")), NotStarted)


def test_an_object_of_that_name_has_to_be_looked_at() -> None:
    assert read_refusal(Refusal(status=409, reason="AlreadyExists")) == There()


@pytest.mark.parametrize(("status", "reason"), [(500, "InternalError"), (504, "Timeout"), (409, "Conflict"), (418, "")])
def test_whatever_may_have_been_carried_out_is_unknown(status: int, reason: str) -> None:
    told = read_refusal(Refusal(status=status, reason=reason, message="etcdserver: request timed out"))

    assert told == Unknown("etcdserver: request timed out")


def test_a_refusal_without_words_has_some() -> None:
    assert read_refusal(Refusal(status=503)) == Unknown("the API server answers 503")
