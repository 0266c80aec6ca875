"""
The executor of ``http_job``: the WebAPI framework over one plugin a configured service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from typing_extensions import override

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Setup
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.http_job.config import DEFAULT_TYPE, Config, read_config, start_declaration
from airscrew.plugins.http_job.plugin import HttpJobPlugin
from airscrew.plugins.http_job.replies import JobView
from airscrew.plugins.http_job.request import service_name
from airscrew.plugins.http_job.state import HttpJobState
from airscrew.plugins.http_transport import AiohttpTransport, Transport
from airscrew.plugins.webapi import ProvidersExecutor


class HttpJobExecutor(ProvidersExecutor[HttpJobState, JobView]):
    """
    Runs jobs of HTTP services that the configuration declares.

    ``task_types``, ``start_declaration`` and ``concurrency`` follow from the configuration and are set on the instance
    when it is initialised.

    Args:
        open_transport: Opens what sends requests; over the network by default.
    """

    id = "http_job"
    task_types = (DEFAULT_TYPE,)
    state_type = HttpJobState

    def __init__(self, open_transport: Callable[[], Transport] = AiohttpTransport.open) -> None:
        super().__init__()
        self._open_transport = open_transport
        self._services: tuple[str, ...] = ()

    @override
    async def make_plugins(self, setup: Setup, stack: AsyncExitStack) -> Mapping[str, HttpJobPlugin]:
        config = read_config(setup.config)
        transport = self._open_transport()
        stack.push_async_callback(transport.close)
        start = start_declaration(config)
        self._declare(config)
        return {
            name: HttpJobPlugin(name, service, start, transport, config.cache_size)
            for name, service in config.services.items()
        }

    def _declare(self, config: Config) -> None:
        # The contract has class attributes; these follow from the configuration, and the engine reads the instance.
        self._services = tuple(config.services)
        vars(self).update(
            start_declaration=start_declaration(config),
            task_types=tuple(dict.fromkeys([DEFAULT_TYPE, *config.services])),
            concurrency=config.concurrency,
        )

    @override
    def provider_of_task(self, template: TaskTemplate) -> str:
        return service_name(template, self._services)

    @override
    def provider_of_state(self, state: HttpJobState) -> str:
        return state.service

    @override
    def provider_of_type(self, task_type: str) -> str:
        return task_type if task_type in self._services else ""

    @override
    def unknown_provider(self, name: str) -> PermanentError:
        known = ", ".join(self._services)
        return PermanentError(
            f"service {name!r} is not configured: add executors.http_job.services.{name} (there are: {known})",
            code="UnknownService",
        )
