"""
The executor over WebAPI plugins: it says which provider a call is for, and that one does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Generic

from typing_extensions import override

from airscrew.engine.cache import Measured
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import (
    Executor,
    Found,
    Gone,
    NotStarted,
    ResourceRequirements,
    Setup,
    StillThere,
    TaskContext,
    TaskStatus,
)
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.opened import Opened
from airscrew.plugins.webapi.note import read_note
from airscrew.plugins.webapi.plugin import StateT, ViewT, WebApiPlugin
from airscrew.plugins.webapi.provider import Provider


class ProvidersExecutor(Executor[StateT], Generic[StateT, ViewT]):
    """
    Runs tasks as jobs of some providers; a subclass says which there are and which one a task means.

    Attributes:
        providers: Those that are open, by name.
    """

    check_interval = 30.0  # the owner is woken by each change; a check by time only shows trouble

    def __init__(self) -> None:
        self.providers: dict[str, Provider[StateT, ViewT]] = {}
        self._opened = Opened()

    async def make_plugins(self, setup: Setup, stack: AsyncExitStack) -> Mapping[str, WebApiPlugin[StateT, ViewT]]:
        """
        Read the configuration and return the configured plugins by the names of their providers.

        What they share is opened here and pushed to the stack.

        Raises:
            UsageError: The configuration is wrong; names the key.
        """
        raise NotImplementedError

    def provider_of_task(self, template: TaskTemplate) -> str:
        """
        Say which provider a task means.

        Raises:
            PermanentError: It names none.
        """
        raise NotImplementedError

    def provider_of_state(self, state: StateT) -> str:
        """Say which provider a job is at."""
        raise NotImplementedError

    def provider_of_type(self, task_type: str) -> str:
        """Say which provider all tasks of a type mean; empty when that is in the task."""
        del task_type
        return ""

    def label_of(self, name: str) -> str:
        """Say what a provider is called in metrics."""
        return f"{self.id}/{name}"

    @override
    async def initialize(self, setup: Setup) -> None:
        """
        Read the configuration, open clients and begin to read jobs.

        Raises:
            UsageError: The configuration is wrong; names the key.
        """
        await self.close()
        async with AsyncExitStack() as stack:
            plugins = await self.make_plugins(setup, stack)
            opened: dict[str, Provider[StateT, ViewT]] = {}
            for name, plugin in plugins.items():
                opened[name] = Provider(name, self.label_of(name), self.id, plugin, setup)
                await opened[name].open(stack, setup)
            self.providers = opened
            self._opened.hold(stack)

    @override
    def is_same_job(self, one: StateT, other: StateT) -> bool:
        """Tell by the id that the provider gave."""
        return (self.provider_of_state(one), one.id) == (self.provider_of_state(other), other.id)

    @override
    def caches(self) -> Sequence[Measured]:
        """Return what the jobs of each provider are kept in."""
        return [provider.cache for provider in self.providers.values()]

    @override
    async def resource_requirements(
        self, context: TaskContext[StateT], template: TaskTemplate
    ) -> ResourceRequirements | None:
        """Say what the plugin says."""
        plugin = self.provider(self.provider_of_task(template)).plugin
        return plugin.resource_requirements(context, template)

    @override
    async def start_task(self, context: TaskContext[StateT], template: TaskTemplate) -> TaskStatus[StateT] | NotStarted:
        """Make the job: one request that carries the attempt's key."""
        return await self.provider(self.provider_of_task(template)).start(context, template)

    @override
    async def check_task_status(self, context: TaskContext[StateT], state: StateT) -> TaskStatus[StateT]:
        """Say what was heard of the job last."""
        return await self.provider(self.provider_of_state(state)).check(context, state)

    @override
    async def kill_task(self, context: TaskContext[StateT], state: StateT, reason: str) -> Gone | StillThere[StateT]:
        """Ask the provider to stop the job, then look whether it did, in turns: one request a call."""
        return await self.provider(self.provider_of_state(state)).kill(context, state)

    @override
    async def finalize(self, context: TaskContext[StateT], state: StateT) -> None:
        """Read the job no more."""
        name = self.provider_of_state(state)
        if name in self.providers:
            self.providers[name].forget(context, state)

    @override
    async def find(self, context: TaskContext[StateT]) -> Sequence[Found[StateT]]:
        """List the jobs that carry the key, at the provider that was to be asked or at all that may have been."""
        note: StateT | None = await read_note(context, self.id, self.state_type)
        found: list[Found[StateT]] = []
        for provider in self._candidates(context.task_type, note):
            found.extend(await provider.find(context, note))
        return found

    @override
    async def close(self) -> None:
        """Stop reading and close the clients, on the loop that they were opened on."""
        await self._opened.close()

    def provider(self, name: str) -> Provider[StateT, ViewT]:
        """
        Return a provider by its name.

        Raises:
            PermanentError: The configuration does not have it (any more).
        """
        if name in self.providers:
            return self.providers[name]
        raise self.unknown_provider(name)

    def unknown_provider(self, name: str) -> PermanentError:
        """Make the error that says that there is no such provider."""
        known = ", ".join(self.providers)
        return PermanentError(
            f"provider {name!r} of executor {self.id} is not configured (there are: {known})", code="UnknownProvider"
        )

    def _candidates(self, task_type: str, note: StateT | None) -> list[Provider[StateT, ViewT]]:
        name = self.provider_of_type(task_type) if note is None else self.provider_of_state(note)
        return [self.provider(name)] if name else list(self.providers.values())


class WebApiExecutor(ProvidersExecutor[StateT, ViewT]):
    """
    Runs tasks as jobs of the one provider that a plugin knows.

    A subclass names its plugin's class as ``plugin_type``; all declarations are the plugin's.
    """

    plugin_type: type[WebApiPlugin[StateT, ViewT]]

    @override
    def __init_subclass__(cls) -> None:
        """Declare what the plugin declares."""
        super().__init_subclass__()
        plugin: type[WebApiPlugin[StateT, ViewT]] | None = getattr(cls, "plugin_type", None)
        if plugin is not None:
            cls.id = plugin.id
            cls.task_types = plugin.task_types
            cls.state_type = plugin.state_type
            cls.produces_outputs = plugin.produces_outputs
            cls.start_declaration = plugin.start_declaration

    def make_plugin(self) -> WebApiPlugin[StateT, ViewT]:
        """Make the plugin; override it to give it something of a test."""
        return self.plugin_type()

    @override
    async def make_plugins(self, setup: Setup, stack: AsyncExitStack) -> Mapping[str, WebApiPlugin[StateT, ViewT]]:
        plugin = self.make_plugin()
        plugin.configure(setup.config)
        vars(self)["start_declaration"] = plugin.start_declaration
        return {plugin.id: plugin}

    @override
    def label_of(self, name: str) -> str:
        return name

    @override
    def provider_of_task(self, template: TaskTemplate) -> str:
        return self.id

    @override
    def provider_of_state(self, state: StateT) -> str:
        return self.id
