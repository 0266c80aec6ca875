"""
What executors have in common whose one provider is reached over HTTP: who opens the transport, and what limits it.

Guarantees: a transport is opened on the loop that its plugin is opened on, and closed with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, cast

from typing_extensions import override

from airscrew.plugins.http_transport import AiohttpTransport, Transport
from airscrew.plugins.webapi import JobState, Limits, Opening, WebApiExecutor, WebApiPlugin

StateT = TypeVar("StateT", bound=JobState)
ViewT = TypeVar("ViewT")
OpenTransport = Callable[[], Transport]
"""Opens what sends requests; a test gives its own."""


class Paced(Protocol):
    """What a configuration says of requests."""

    @property
    def interval(self) -> float:
        """How often each job is read, seconds."""
        ...

    @property
    def timeout(self) -> float:
        """How long one request may take, seconds."""
        ...

    @property
    def reads_per_second(self) -> float | None:
        """The most reads in the long run; None for no limit."""
        ...

    @property
    def writes_per_second(self) -> float | None:
        """The most starts and stops in the long run; None for no limit."""
        ...


def limits_of(config: Paced) -> Limits:
    """Say what may be asked of the provider; the rest of the limits is as usual."""
    return Limits(
        period_seconds=config.interval,
        reads_per_second=config.reads_per_second,
        writes_per_second=config.writes_per_second,
        timeout_seconds=config.timeout * 2,  # the transport has the limit; this one only catches what ignores it
    )


class HttpPlugin(WebApiPlugin[StateT, ViewT]):
    """
    Jobs of a provider that is reached over HTTP.

    Args:
        open_transport: Opens what sends requests.
    """

    def __init__(self, open_transport: OpenTransport) -> None:
        self._open_transport = open_transport

    def opened_transport(self, opening: Opening[ViewT]) -> Transport:
        """Open what sends requests, until the plugin is closed."""
        transport = self._open_transport()
        opening.stack.push_async_callback(transport.close)
        return transport


class HttpExecutor(WebApiExecutor[StateT, ViewT]):
    """
    Runs tasks as jobs of the one provider that an ``HttpPlugin`` knows; ``plugin_type`` is a class of those.

    Args:
        open_transport: Opens what sends requests; over the network by default.
    """

    needs_config = True

    def __init__(self, open_transport: OpenTransport = AiohttpTransport.open) -> None:
        super().__init__()
        self._open_transport = open_transport

    @override
    def make_plugin(self) -> HttpPlugin[StateT, ViewT]:
        return cast("type[HttpPlugin[StateT, ViewT]]", self.plugin_type)(self._open_transport)
