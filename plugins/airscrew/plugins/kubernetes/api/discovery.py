"""
Kinds by their name alone: what the API server says of them, kept for a while.

A custom resource may come, go, or get a newer version while we run: what was found is asked again after a time, and
what was not found is asked at each use.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace

import msgspec
from cachetools import TTLCache

from airscrew.engine.clock import Clock
from airscrew.engine.errors import PermanentError
from airscrew.idl.errors import ErrorKind
from airscrew.plugins.kubernetes.api.connection import Connection, Reply
from airscrew.plugins.kubernetes.api.errors import ApiError, refusal_of
from airscrew.plugins.kubernetes.api.kinds import Kind

KEPT = 256
KEPT_SECONDS = 600.0
NOT_FOUND = 404


class _Resource(msgspec.Struct, frozen=True):
    name: str = ""
    kind: str = ""


class _Resources(msgspec.Struct, frozen=True):
    resources: tuple[_Resource, ...] = ()


class _Version(msgspec.Struct, frozen=True):
    version: str = ""


class _Group(msgspec.Struct, frozen=True, rename="camel"):
    preferred_version: _Version = _Version()


_resources_decoder = msgspec.json.Decoder(_Resources)
_group_decoder = msgspec.json.Decoder(_Group)


class Discovery:
    """
    Finds what a kind does not say of itself.

    Args:
        connection: The way to the API server.
        clock: The time.
    """

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._found: MutableMapping[Kind, Kind] = TTLCache[Kind, Kind, float](KEPT, KEPT_SECONDS, timer=clock.monotonic)

    async def resolve(self, kind: Kind) -> Kind:
        """
        Return a kind with its plural and its version; one that has both is as it is.

        Raises:
            PermanentError: The cluster has no such kind; names it.
            ApiError: The API server does not say.
            OSError: It could not be asked.
        """
        if kind.plural and kind.version:
            return kind
        known = self._found.get(kind)
        if known is None:
            known = self._found[kind] = await self._resolve(kind)
        return known

    async def _resolve(self, kind: Kind) -> Kind:
        versioned = kind if kind.version else replace(kind, version=await self._preferred(kind))
        root = f"/apis/{versioned.group}/{versioned.version}" if versioned.group else f"/api/{versioned.version}"
        found = _resources_decoder.decode((await self._ask(root, kind)).body).resources
        # What has a slash in its name is a part of a resource, and has its kind too.
        plural = next((one.name for one in found if one.kind == kind.kind and "/" not in one.name), "")
        if not plural:
            raise _missing(kind)
        return replace(versioned, plural=plural)

    async def _preferred(self, kind: Kind) -> str:
        if not kind.group:
            return "v1"
        reply = await self._ask(f"/apis/{kind.group}", kind)
        return _group_decoder.decode(reply.body).preferred_version.version

    async def _ask(self, path: str, kind: Kind) -> Reply:
        reply = await self._connection.request("GET", path)
        if reply.status == NOT_FOUND:
            raise _missing(kind)
        if not reply.is_good:
            raise ApiError(f"{kind} cannot be discovered", reply.status, refusal_of(reply).message)
        return reply


def _missing(kind: Kind) -> PermanentError:
    named = "/".join(filter(None, (kind.group, kind.version))) or "the core"
    message = f"the cluster has no kind {kind.kind} in {named}: install what brings it"
    return PermanentError(message, code="KindNotFound", kind=ErrorKind.SYSTEM)
