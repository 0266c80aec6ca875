from __future__ import annotations

import json

import pytest

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Idempotent
from airscrew.idl.errors import ErrorKind
from airscrew.plugins.http_job.config import Service, read_config
from airscrew.plugins.http_job.replies import (
    Created,
    HttpJobError,
    JobView,
    read_created,
    read_items,
    read_one,
    read_stopped,
    retry_after,
)
from airscrew.plugins.http_transport import HttpReply
from airscrew.plugins.webapi import ProviderError, ThrottledError
from airscrew.plugins.webapi.verdicts import start_result

NOW = 1_700_000_000.0


def service(**changed: object) -> Service:
    told: dict[str, object] = {
        "url": "http://jobs.test",
        "create": {"path": "/jobs", "key_header": "K", "exists": [409]},
        "get": {"path": "/jobs/{id}"},
        "get_many": {"path": "/jobs?ids={ids}", "items": "$.jobs"},
        "phases": {"done": "Success"},
        "message": "$.note",
        "progress": "$.percent",
        "progress_max": 100,
    }
    return read_config({"services": {"s": told | changed}}).services["s"]


def reply(status: int, told: object = None, **headers: str) -> HttpReply:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return HttpReply(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def test_a_created_job_is_its_id_and_how_it_stands() -> None:
    made = read_created("s", service(), reply(201, {"id": 7, "status": "new", "percent": 50, "note": "hi"}), "k", NOW)

    assert made == Created("7", JobView(status="new", message="hi", progress=0.5))


def test_a_status_that_means_it_is_there_already_is_a_created_job() -> None:
    assert read_created("s", service(), reply(409, {"id": "x"}), "k", NOW) == Created("x", JobView())


def test_a_service_that_takes_the_key_as_id_need_not_answer_with_anything() -> None:
    put = service(create={"path": "/jobs/{key}", "method": "PUT", "id": "{key}"})

    assert read_created("s", put, reply(204, b""), "k", NOW) == Created("k", JobView())


@pytest.mark.parametrize(
    ("answer", "delay"),
    [
        (reply(429, "slow"), None),
        (reply(429, "slow", retry_after="9"), 9.0),
        (reply(503, "busy", retry_after="3"), 3.0),
        (reply(425, "early"), None),
    ],
)
def test_an_answer_that_puts_off_means_that_nothing_was_made(answer: HttpReply, delay: float | None) -> None:
    with pytest.raises(ThrottledError, match=str(answer.status)) as put_off:
        read_created("s", service(), answer, "k", NOW)

    assert put_off.value.retry_after == delay


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "BadTaskSpecification", ErrorKind.USER),
        (404, "BadTaskSpecification", ErrorKind.USER),
        (422, "BadTaskSpecification", ErrorKind.USER),
        (413, "EntityTooLarge", ErrorKind.USER),
        (401, "AccessDenied", ErrorKind.SYSTEM),
        (403, "AccessDenied", ErrorKind.SYSTEM),
    ],
)
def test_an_answer_that_refuses_is_final_and_quoted(status: int, code: str, kind: ErrorKind) -> None:
    with pytest.raises(ProviderError, match="wrong size") as refusal:
        read_created("s", service(), reply(status, {"error": "wrong size"}), "k", NOW)

    final = start_result("s", refusal.value, Idempotent())
    assert isinstance(final, PermanentError)
    assert (final.code, final.kind) == (code, kind)


@pytest.mark.parametrize(
    "answer",
    [
        reply(500, "oops"),
        reply(503, "no retry-after"),
        reply(408, "timeout"),
        reply(302, b"", location="/elsewhere"),
        reply(200, b"<html>"),
        reply(200, {"no": "id"}),
        reply(200, [1]),
    ],
)
def test_any_other_answer_leaves_it_unknown_whether_a_job_was_made(answer: HttpReply) -> None:
    with pytest.raises(HttpJobError, match="s: POST /jobs answered"):
        read_created("s", service(), answer, "k", NOW)


def test_a_conflict_without_a_declaration_leaves_it_unknown() -> None:
    with pytest.raises(HttpJobError):
        read_created("s", service(create={"path": "/jobs"}), reply(409, {"id": "x"}), "k", NOW)


@pytest.mark.parametrize("status", [404, 410])
def test_a_job_that_the_service_does_not_know_is_none(status: int) -> None:
    assert read_one("s", service(), reply(status)) is None
    assert read_stopped("s", service(), reply(status)) is None


@pytest.mark.parametrize("answer", [reply(500), reply(401), reply(200, b"\xff"), reply(200, {"x": 1}), reply(301)])
def test_a_read_that_tells_nothing_is_an_error(answer: HttpReply) -> None:
    with pytest.raises(HttpJobError):
        read_one("s", service(), answer)


def test_a_list_is_read_by_its_path() -> None:
    listing = service().get_many
    assert listing is not None

    items = read_items("s", listing, reply(200, {"jobs": [{"id": 1}, {"id": "b"}]}))

    assert items == [("1", {"id": 1}), ("b", {"id": "b"})]


def test_an_object_by_id_is_a_list_too() -> None:
    listing = service().get_many
    assert listing is not None

    assert read_items("s", listing, reply(200, {"jobs": {"a": {"x": 1}}})) == [("a", {"x": 1})]


@pytest.mark.parametrize("answer", [reply(200, {"jobs": 3}), reply(200, {}), reply(404, {"jobs": []}), reply(200, b"")])
def test_a_list_that_is_none_is_an_error_and_never_an_empty_list(answer: HttpReply) -> None:
    listing = service().get_many
    assert listing is not None

    with pytest.raises(HttpJobError):
        read_items("s", listing, answer)


@pytest.mark.parametrize("answer", [reply(500), reply(401), reply(400)])
def test_a_stop_that_tells_nothing_is_an_error(answer: HttpReply) -> None:
    with pytest.raises(HttpJobError):
        read_stopped("s", service(), answer)


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("7", 7.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("-5", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, delay: float | None) -> None:
    assert retry_after(reply(429, retry_after=text), NOW) == delay


def test_progress_is_a_share_whatever_the_service_counts_in() -> None:
    views = [read_one("s", service(), reply(200, {"status": "x", "percent": n})) for n in (25, 250, -1, "50", True)]

    assert [view.progress for view in views if view] == [0.25, 1.0, 0.0, None, None]
