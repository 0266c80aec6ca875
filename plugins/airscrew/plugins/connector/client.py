"""
The calls of one connector service, each made once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from airscrew.idl.errors import shorten
from airscrew.idl.wire import WireError
from airscrew.plugins.connector.answers import JobView, Served
from airscrew.plugins.connector.config import Service
from airscrew.plugins.connector.errors import BadAnswerError, FailedError, NotThereError, RefusedError
from airscrew.plugins.connector.state import ConnectorState
from airscrew.plugins.connector.wire import Call, Connection, Wire

if TYPE_CHECKING:
    from airscrew.plugins.connector.channel import Channel

NO_CONNECTOR = "Cannot find connector for"
"""What services of both generations answer, with NOT_FOUND as well, when they do not serve a task type."""

T = TypeVar("T")
_Data = TypeVar("_Data")


class ConnectorClient:
    """
    Talks to one service.

    Args:
        name: What the configuration calls it.
        service: Its configuration.
        channel: The way there.
        wire: The generation of messages that it speaks.
    """

    def __init__(self, name: str, service: Service, channel: Channel, wire: Wire) -> None:
        self.name = name
        self.service = service
        self.wire = wire
        self.connection: Connection = {}
        self._channel = channel

    async def ask_served(self) -> tuple[Served, ...]:
        """
        Ask what is served.

        Raises:
            ConnectorError: It was not told.
        """
        data = await self._channel.unary(self.wire.list_method, self.wire.list_request(), self.service.timeout)
        return self._parsed(self.wire.read_list, data)

    async def create(self, call: Call) -> bytes:
        """
        Make a job and return its metadata.

        Raises:
            ConnectorError: Of the class that says whether there may be a job.
        """
        request = self.wire.create_request(call)
        data = await self._channel.unary(self.wire.create_method, request, self.service.create_timeout)
        return self._parsed(self.wire.read_create, data)

    async def execute(self, call: Call) -> JobView:
        """
        Have a sync connector do a task.

        Raises:
            ConnectorError: Of the class that says whether anything may have been done.
        """
        if not self.wire.execute_method:
            raise RefusedError(f"connector {self.name}: Flyte 2 has no sync connectors")
        requests = self.wire.execute_requests(call)
        answers = await self._channel.exchange(self.wire.execute_method, requests, self.service.sync_timeout)
        return self._parsed(self.wire.read_execute, answers)

    async def get(self, state: ConnectorState) -> JobView:
        """
        Ask how a job stands.

        Raises:
            NotThereError: The provider does not know the job.
            ConnectorError: It was not told.
        """
        served = Served(state.task_type, state.version)
        request = self.wire.get_request(served, state.resource_meta, state.output_prefix, self.connection)
        try:
            data = await self._channel.unary(self.wire.get_method, request, self.service.timeout)
        except NotThereError as error:
            if NO_CONNECTOR in str(error):
                raise RefusedError(str(error)) from error  # it is the connector that is not there, not the job
            raise
        except FailedError as error:
            if re.search(self.service.gone, str(error)):
                raise NotThereError(str(error)) from error
            raise
        return self._parsed(self.wire.read_get, data)

    async def delete(self, state: ConnectorState) -> None:
        """
        Have a job deleted.

        Raises:
            ConnectorError: It was not confirmed.
        """
        served = Served(state.task_type, state.version)
        request = self.wire.delete_request(served, state.resource_meta, self.connection)
        await self._channel.unary(self.wire.delete_method, request, self.service.timeout)

    async def logs(self, state: ConnectorState) -> list[str]:
        """
        Read the beginning of a job's log; empty when the connector has none.

        Raises:
            ConnectorError: It was not told.
        """
        request = self.wire.logs_request(Served(state.task_type, state.version), state.resource_meta, "")
        answers = await self._channel.stream(self.wire.logs_method, request, self.service.timeout)
        return [line for answer in answers for line in self._parsed(self.wire.read_logs, answer)]

    async def metrics(self, state: ConnectorState, until: float) -> list[Mapping[str, object]]:
        """
        Read what a job measured, from when it was made until a time; empty when the connector has nothing.

        Raises:
            ConnectorError: It was not told.
        """
        served = Served(state.task_type, state.version)
        request = self.wire.metrics_request(served, state.resource_meta, state.created_at, until)
        data = await self._channel.unary(self.wire.metrics_method, request, self.service.timeout)
        return self._parsed(self.wire.read_metrics, data)

    async def close(self) -> None:
        """Close all connections."""
        await self._channel.close()

    def _parsed(self, read: Callable[[_Data], T], data: _Data) -> T:
        try:
            return read(data)
        except WireError as error:
            raise BadAnswerError(f"connector {self.name}: {shorten(str(error), 500)}") from error
