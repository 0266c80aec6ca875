"""
Requests to BigQuery, each made once.

Nothing that is raised holds a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast
from urllib.parse import quote, urlencode

from airscrew.plugins.bigquery.config import LIST_SIZE, BigQueryConfig
from airscrew.plugins.bigquery.tokens import Tokens
from airscrew.plugins.http_transport import Reply, Transport, excerpt, patience_of
from airscrew.plugins.json_http import read_object
from airscrew.plugins.webapi import ProviderError, RefusedError, ThrottledError, UnclearError, http_error

JsonObject = Mapping[str, object]

DUPLICATE = "duplicate"

_LATER = frozenset({"rateLimitExceeded", "quotaExceeded", "userRateLimitExceeded", "jobRateLimitExceeded"})
_FIELDS = "jobReference,status,configuration/query/destinationTable"


class RefusalError(RefusedError):
    """
    BigQuery answered that it will not do it.

    Attributes:
        status: The HTTP status.
    """

    status: int = 0


@dataclass(slots=True, kw_only=True)
class BigQueryClient:
    """
    Talks to BigQuery.

    Attributes:
        config: Its configuration.
        transport: What sends requests.
        tokens: What they carry.
    """

    config: BigQueryConfig
    transport: Transport
    tokens: Tokens

    async def insert(self, project: str, job: JsonObject) -> JsonObject | None:
        """
        Make a job; None when there is one of this id already.

        Raises:
            ProviderError: Its class tells whether nothing was made, or nobody knows.
            OSError: The same.
        """
        try:
            return await self._ask("POST", _jobs(project), body=job)
        except RefusalError as error:
            if error.status == HTTPStatus.CONFLICT:
                return None
            raise

    async def get(self, project: str, location: str, job_id: str) -> JsonObject | None:
        """Read one job; None when there is none."""
        query = {"fields": _FIELDS, **({"location": location} if location else {})}
        return await self._ask_of_one("GET", f"{_jobs(project)}/{quote(job_id, safe='')}", query)

    async def cancel(self, project: str, location: str, job_id: str) -> JsonObject | None:
        """Ask for a job's end; None when there is none."""
        query = {"location": location} if location else {}
        answer = await self._ask_of_one("POST", f"{_jobs(project)}/{quote(job_id, safe='')}/cancel", query)
        return None if answer is None else _object(answer.get("job"))

    async def newest(self, project: str, since: float) -> tuple[list[JsonObject], bool]:
        """
        List the newest jobs of a project that were made since a time, Unix seconds; and whether there are more.

        Raises:
            ProviderError: There was no usable answer.
            OSError: The same.
        """
        query = {
            "projection": "full",  # the destination is part of the configuration
            "maxResults": str(LIST_SIZE),
            "minCreationTime": str(max(int(since * 1000), 0)),
            "fields": f"nextPageToken,jobs({_FIELDS})",
        }
        answer = await self._ask("GET", _jobs(project), query)
        jobs = answer.get("jobs", [])
        if not isinstance(jobs, list):
            raise UnclearError(f"bigquery: a list of jobs holds a {type(jobs).__name__}")
        return [_object(job) for job in cast("list[object]", jobs)], bool(answer.get("nextPageToken"))

    async def _ask_of_one(self, method: str, path: str, query: Mapping[str, str]) -> JsonObject | None:
        try:
            return await self._ask(method, path, query)
        except RefusalError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: JsonObject | None = None
    ) -> JsonObject:
        token = await self.tokens.token()
        headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        raw = None
        if body is not None:
            headers["Content-Type"], raw = "application/json", json.dumps(body).encode()
        url = f"{self.config.endpoint.rstrip('/')}{path}" + (f"?{urlencode(query)}" if query else "")
        reply = await self.transport.request(method, url, headers=headers, body=raw, timeout=self.config.timeout)
        if reply.status == HTTPStatus.UNAUTHORIZED:
            self.tokens.forget()
        text = reply.body.decode("utf-8", "replace")
        told = text.replace(token, "***") if token else text
        return read_object(f"bigquery: {method} {path}", reply, told, _error)


def _error(request: str, reply: Reply, members: JsonObject, text: str) -> ProviderError:
    found_error = members.get("error")  # a proxy's answer may hold something else there
    error: JsonObject = cast("JsonObject", found_error) if isinstance(found_error, dict) else {}
    reasons = _reasons(error.get("errors"))
    told = f"{request} answered {reply.status}: {error.get('message') or excerpt(text)}"
    if _LATER & set(reasons):
        return ThrottledError(told, patience_of(reply))
    found = http_error(reply.status, told, patience_of(reply))
    is_duplicate = reply.status == HTTPStatus.CONFLICT and DUPLICATE in reasons
    if isinstance(found, RefusedError) or is_duplicate:
        refusal = RefusalError(told, code=reasons[0] if reasons else "BadTaskSpecification")
        refusal.status = reply.status
        return refusal
    return found


def _reasons(errors: object) -> Sequence[str]:
    listed = cast("list[object]", errors) if isinstance(errors, list) else []
    return [str(cast("JsonObject", one).get("reason", "")) for one in listed if isinstance(one, dict)]


def _object(value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise UnclearError(f"bigquery: an answer holds a {type(value).__name__} where a job was expected")
    return cast("JsonObject", value)


def _jobs(project: str) -> str:
    return f"/bigquery/v2/projects/{quote(project, safe='')}/jobs"
