"""
What a service's answers mean. Pure.

For a create three things are told apart: a job is there, certainly none is, nobody knows. For a read: how the job
stands, or that the service says in so many words that there is no such job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import cast

from airscrew.plugins import http_transport
from airscrew.plugins.http_job.config import KEY_ID, Listing, Service
from airscrew.plugins.http_job.paths import look_up, text_at
from airscrew.plugins.http_transport import Reply
from airscrew.plugins.webapi import DeniedError, ThrottledError, UnclearError, http_error

_SHOWN = 200
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


class HttpJobError(UnclearError):
    """A service answered with something that tells nothing; the message names the service and the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """
    How a service says that a job stands.

    Attributes:
        status: Its own word; empty until the job was seen.
        message: A line for people.
        code: A short stable word, for a failed job.
        progress: The share that is done, 0..1.
        log: The address of its log.
        outputs: Its outputs as JSON.
    """

    status: str = ""
    message: str = ""
    code: str = ""
    progress: float | None = None
    log: str = ""
    outputs: object = None


@dataclass(frozen=True, slots=True)
class Created:
    """A job that is there, and what the answer said of it."""

    id: str
    view: JobView


def read_created(name: str, service: Service, reply: Reply, key: str, now: float) -> Created:
    """
    Tell what an answer to a create means.

    Raises:
        ProviderError: Its class tells whether nothing was made, for now or for good, or nobody knows.
    """
    request = f"{name}: {service.create.method} {service.create.path}"
    if _is_success(reply) or reply.status in service.create.exists:
        return _created(request, service, reply, key)
    error = http_error(reply.status, f"{request} answered {reply.status}: {excerpt(reply)}", retry_after(reply, now))
    match error:
        case DeniedError():
            secret = f"secret {service.auth.secret!r}" if service.auth else "no auth is configured"
            raise DeniedError(f"{error} ({secret})")
        case UnclearError():
            raise HttpJobError(str(error))
        case _:
            raise error


def put_off(request: str, reply: Reply, now: float) -> ThrottledError | None:
    """Return what to raise when a service wants to be left alone for now; None when it does not."""
    error = http_error(reply.status, f"{request} answered {reply.status}: {excerpt(reply)}", retry_after(reply, now))
    return error if isinstance(error, ThrottledError) else None


def _created(request: str, service: Service, reply: Reply, key: str) -> Created:
    if service.create.id == KEY_ID:
        return Created(key, _lenient_view(service, reply))
    body = parse_json(request, reply)
    job_id = text_at(body, service.create.id)
    if not job_id:
        raise HttpJobError(f"{request} answered {reply.status} without an id at {service.create.id}: {excerpt(reply)}")
    return Created(job_id, read_job(service, body))


def _is_success(reply: Reply) -> bool:
    return HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES


def _lenient_view(service: Service, reply: Reply) -> JobView:
    try:
        return read_job(service, json.loads(reply.body))
    except ValueError:
        return JobView()


def read_job(service: Service, body: object) -> JobView:
    """Read how a job stands from the JSON that tells of it."""
    return JobView(
        status=text_at(body, service.status),
        message=text_at(body, service.message),
        code=text_at(body, service.code),
        progress=_progress(look_up(body, service.progress), service.progress_max),
        log=text_at(body, service.log),
        outputs=look_up(body, service.outputs),
    )


def _progress(value: object, whole: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(max(value / whole, 0.0), 1.0)


def read_one(name: str, service: Service, reply: Reply) -> JobView | None:
    """
    Read the answer to a read of one job; None when the service says that there is none.

    Raises:
        HttpJobError: The answer tells nothing.
    """
    request = f"{name}: reading a job"
    if reply.status in _GONE:
        return None
    if not _is_success(reply):
        raise HttpJobError(f"{request} answered {reply.status}: {excerpt(reply)}")
    view = read_job(service, parse_json(request, reply))
    if not view.status:
        raise HttpJobError(f"{request} answered without a status at {service.status}: {excerpt(reply)}")
    return view


def read_items(name: str, listing: Listing, reply: Reply) -> list[tuple[str, object]]:
    """
    Read the answer to a request for many jobs: each one's id and JSON.

    Raises:
        HttpJobError: The answer tells nothing.
    """
    request = f"{name}: listing jobs"
    if not _is_success(reply):
        raise HttpJobError(f"{request} answered {reply.status}: {excerpt(reply)}")
    items = look_up(parse_json(request, reply), listing.items)
    if isinstance(items, dict):
        return [(job_id, item) for job_id, item in cast("Mapping[str, object]", items).items()]
    if not isinstance(items, list):
        raise HttpJobError(f"{request} answered without a list at {listing.items}: {excerpt(reply)}")
    found = cast("list[object]", items)
    return [(text_at(item, listing.id), item) for item in found]


def read_stopped(name: str, service: Service, reply: Reply) -> JobView | None:
    """
    Read the answer to a request to stop a job; None when the service says that there is none.

    Raises:
        HttpJobError: The answer tells nothing.
    """
    if reply.status in _GONE:
        return None
    if _is_success(reply) or reply.status == HTTPStatus.CONFLICT:
        return _lenient_view(service, reply)  # 409: it has ended already, most often; the next read tells
    raise HttpJobError(f"{name}: stopping a job answered {reply.status}: {excerpt(reply)}")


def parse_json(request: str, reply: Reply) -> object:
    """
    Read the body.

    Raises:
        HttpJobError: It is no JSON.
    """
    try:
        return json.loads(reply.body)
    except ValueError as error:
        raise HttpJobError(f"{request} answered {reply.status} with no JSON: {excerpt(reply)}") from error


def retry_after(reply: Reply, now: float) -> float | None:
    """Read ``Retry-After``, seconds or a date; None when it is not there or cannot be read."""
    text = reply.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - now, 0.0)
    except (ValueError, TypeError):
        return None


def excerpt(reply: Reply) -> str:
    """The beginning of an answer on one line, for messages."""
    return http_transport.excerpt(reply.body, _SHOWN)
