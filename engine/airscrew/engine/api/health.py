"""
The standard's health service, ``grpc.health.v1``: SERVING from the first moment until the server begins to stop.

Asked with an empty name it speaks for the whole process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import ClassVar

from airscrew.engine.api.model import ApiError
from airscrew.idl.proto.health.v1 import health_pb2

Status = health_pb2.HealthCheckResponse


class Health:
    """Says whether the services are served."""

    SERVICE: ClassVar[str] = "grpc.health.v1.Health"
    REQUEST: ClassVar[type[health_pb2.HealthCheckRequest]] = health_pb2.HealthCheckRequest

    def __init__(self, services: Sequence[str]) -> None:
        self._services = frozenset({"", *services})
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Say from now on that nothing is served."""
        self._stopping.set()

    async def check(self, request: health_pb2.HealthCheckRequest) -> Status:
        """Answer ``Check``."""
        if request.service not in self._services:
            raise ApiError("not_found", f"no service is called {request.service!r}")
        return Status(status=self._status(request.service))

    async def watch(self, request: health_pb2.HealthCheckRequest) -> AsyncIterator[Status]:
        """Answer ``Watch``: now, and once more when the server stops."""
        yield Status(status=self._status(request.service))
        await self._stopping.wait()
        yield Status(status=self._status(request.service))

    def _status(self, service: str) -> Status.ServingStatus.ValueType:
        if service not in self._services:
            return Status.SERVICE_UNKNOWN
        return Status.NOT_SERVING if self._stopping.is_set() else Status.SERVING
