"""
Requests to Databricks' Jobs API, each made once.

Nothing that is raised holds a token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast
from urllib.parse import urlencode

from airscrew.plugins.databricks.config import LIST_SIZE, DatabricksConfig
from airscrew.plugins.databricks.tokens import Tokens
from airscrew.plugins.http_transport import Reply, Transport, excerpt, patience_of
from airscrew.plugins.json_http import read_object
from airscrew.plugins.webapi import ProviderError, RefusedError, ThrottledError, UnclearError, http_error

JsonObject = Mapping[str, object]

_RUNS = "/api/2.1/jobs/runs"
_LATER = frozenset({"REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "TEMPORARILY_UNAVAILABLE", "QUOTA_EXCEEDED"})
_ABSENT = re.compile(r"Run .* does not exist|Run: .* in job: .* doesn't exist")
"""How Databricks says of a run that there is none, by its own client: with 400, as of a parameter that is wrong."""


class RefusalError(RefusedError):
    """
    Databricks answered that it will not do it.

    Attributes:
        is_absent: Whether it says that there is no such run.
    """

    is_absent: bool = False


@dataclass(slots=True, kw_only=True)
class DatabricksClient:
    """
    Talks to a workspace.

    Attributes:
        config: Its configuration.
        transport: What sends requests.
        tokens: What they carry.
    """

    config: DatabricksConfig
    transport: Transport
    tokens: Tokens

    async def submit(self, run: JsonObject) -> str:
        """
        Submit a run, or be told of the one that carries its token; returns its id.

        Raises:
            ProviderError: Its class tells whether nothing was made, or nobody knows.
            OSError: The same.
        """
        run_id = (await self._ask("POST", f"{_RUNS}/submit", body=run)).get("run_id")
        if not isinstance(run_id, int) or run_id <= 0:
            raise UnclearError("databricks: a run was submitted and has no id")
        return str(run_id)

    async def get(self, run_id: str) -> JsonObject | None:
        """Read one run; None when there is none."""
        found = await self._ask_of_one("GET", f"{_RUNS}/get", query={"run_id": run_id})
        if found is not None and str(found.get("run_id")) != run_id:
            raise UnclearError(f"databricks: asked for run {run_id}, it answered with {found.get('run_id')}")
        return found

    async def cancel(self, run_id: str) -> bool:
        """Ask for a run's end; False when there is none."""
        return await self._ask_of_one("POST", f"{_RUNS}/cancel", body={"run_id": int(run_id)}) is not None

    async def active(self, since_ms: int, until_ms: int) -> list[JsonObject]:
        """
        List the active runs that began in a time, Unix milliseconds, the newest first; as many as one request lists.

        Raises:
            ProviderError: There was no usable answer.
            OSError: The same.
        """
        query = {
            "active_only": "true",
            "run_type": "SUBMIT_RUN",
            "limit": str(LIST_SIZE),
            "start_time_from": str(since_ms),
            "start_time_to": str(until_ms),
        }
        runs = (await self._ask("GET", f"{_RUNS}/list", query=query)).get("runs", [])
        if not isinstance(runs, list) or not all(isinstance(one, dict) for one in cast("list[object]", runs)):
            raise UnclearError("databricks: a list of runs holds something else")
        return cast("list[JsonObject]", runs)

    async def _ask_of_one(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: JsonObject | None = None
    ) -> JsonObject | None:
        try:
            return await self._ask(method, path, query=query, body=body)
        except RefusalError as error:
            if error.is_absent:
                return None
            raise

    async def _ask(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: JsonObject | None = None
    ) -> JsonObject:
        token = await self.tokens.token()
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        raw = None
        if body is not None:
            headers["Content-Type"], raw = "application/json", json.dumps(body).encode()
        url = f"{self.config.url.rstrip('/')}{path}" + (f"?{urlencode(query)}" if query else "")
        reply = await self.transport.request(method, url, headers=headers, body=raw, timeout=self.config.timeout)
        if reply.status == HTTPStatus.UNAUTHORIZED:
            self.tokens.forget()
        text = reply.body.decode("utf-8", "replace")
        told = text.replace(token, "***") if token else text
        return read_object(f"databricks: {method} {path}", reply, told, _error)


def _error(request: str, reply: Reply, members: JsonObject, text: str) -> ProviderError:
    code, message = members.get("error_code"), members.get("message")
    told = f"{request} answered {reply.status}: {message or excerpt(text)}"
    patience = patience_of(reply)
    if code in _LATER:
        return ThrottledError(told, patience)
    found = http_error(reply.status, told, patience)
    if not isinstance(found, RefusedError):
        return found
    refusal = RefusalError(told, code=code if isinstance(code, str) and code else found.code)
    says_absent = code == "INVALID_PARAMETER_VALUE" and isinstance(message, str) and _ABSENT.search(message)
    refusal.is_absent = bool(says_absent) or code == "RESOURCE_DOES_NOT_EXIST"
    return refusal
