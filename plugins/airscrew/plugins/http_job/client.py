"""
Requests to one service, each made once.

The client knows the value of the service's secret while the process lives, and nothing that it raises holds it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from airscrew.engine.clock import Clock
from airscrew.plugins.http_job.config import Listing, Service
from airscrew.plugins.http_job.paths import number_at
from airscrew.plugins.http_job.replies import (
    Created,
    JobView,
    put_off,
    read_created,
    read_items,
    read_job,
    read_one,
    read_stopped,
)
from airscrew.plugins.http_transport import HttpReply, Reply, Transport
from airscrew.plugins.webapi import Vault

AUTH = "auth"
"""What a service's one secret is called in the vault."""

_DENIED = frozenset({401, 403})


@dataclass(slots=True, kw_only=True)
class ServiceClient:
    """
    Talks to one service.

    Attributes:
        name: What the configuration calls it.
        service: Its configuration.
        transport: What sends requests.
        clock: The time, for ``Retry-After`` dates.
        vault: Holds the secret's value, once a call's context has given it.
    """

    name: str
    service: Service
    transport: Transport
    clock: Clock
    vault: Vault

    async def create(self, key: str, body: object) -> Created:
        """
        Make a job; one request, never repeated here.

        Raises:
            ProviderError: Its class tells whether nothing was made, or nobody knows.
            OSError: The same.
        """
        create = self.service.create
        headers = {create.key_header: key} if create.key_header else {}
        raw = None if body is None else json.dumps(body).encode()
        reply = await self._send(create.method, _fill(create.path, key=key), headers, raw)
        return read_created(self.name, self.service, reply, key, self.clock.now())

    async def read(self, job_id: str) -> JobView | None:
        """
        Read one job; None when the service says that there is none.

        Raises:
            HttpJobError: The answer tells nothing.
            OSError: There was no answer.
        """
        get, many = self.service.get, self.service.get_many
        if get is not None:
            reply = await self._send(get.method, _fill(get.path, id=job_id))
            return read_one(self.name, self.service, reply)
        assert many is not None
        return (await self.read_many([job_id])).get(job_id)

    async def read_many(self, job_ids: Sequence[str]) -> dict[str, JobView]:
        """
        Read jobs by one request; those that the service does not know are left out.

        Raises:
            HttpJobError: The answer tells nothing.
            OSError: There was no answer.
        """
        many = self.service.get_many
        assert many is not None
        items = await self._list(many, _fill(many.path, ids=",".join(job_ids)))
        views = {job_id: read_job(self.service, item) for job_id, item in items}
        return {job_id: view for job_id, view in views.items() if view.status}

    async def find(self, key: str) -> list[tuple[str, JobView, float]]:
        """
        List the jobs of a key: id, how it stands, when it was made.

        Raises:
            HttpJobError: The answer tells nothing.
            OSError: There was no answer.
        """
        listing = self.service.find
        assert listing is not None
        items = await self._list(listing, _fill(listing.path, key=key))
        return [(job_id, read_job(self.service, item), number_at(item, listing.created_at)) for job_id, item in items]

    async def stop(self, job_id: str) -> JobView | None:
        """
        Ask the service to stop a job; None when it says that there is none, else what it tells of it, if anything.

        Raises:
            HttpJobError: The answer tells nothing.
            OSError: There was no answer.
        """
        delete = self.service.delete
        assert delete is not None
        reply = await self._send(delete.method, _fill(delete.path, id=job_id))
        return read_stopped(self.name, self.service, reply)

    async def _list(self, listing: Listing, path: str) -> list[tuple[str, object]]:
        return read_items(self.name, listing, await self._send(listing.method, path))

    async def _send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        sent = {**self.service.headers, **(headers or {}), "Accept": "application/json"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        auth = self.service.auth
        credential = self.vault.get(AUTH)
        if auth and credential:
            sent[auth.header] = f"{auth.scheme} {credential}".strip()
        url = self.service.url.rstrip("/") + path
        reply = await self.transport.request(method, url, headers=sent, body=body, timeout=self.service.timeout)
        if reply.status in _DENIED:
            self.vault.forget()  # it may have been replaced: the next call's context reads it again
        reply = self._scrubbed(reply, credential)
        later = put_off(f"{self.name}: {method} {path.partition('?')[0]}", reply, self.clock.now())
        if later is not None:
            raise later
        return reply

    def _scrubbed(self, reply: Reply, secret: str) -> Reply:
        """Take our own credential out of an answer that repeats it: answers are quoted in messages."""
        value = secret.encode()
        if not value or value not in reply.body:
            return reply
        return HttpReply(reply.status, reply.headers, reply.body.replace(value, b"***"))


def _fill(path: str, **values: str) -> str:
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=","))
    return path
