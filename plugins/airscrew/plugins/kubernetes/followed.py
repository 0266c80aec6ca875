"""
What an executor over Kubernetes keeps open: the way to its cluster, and all that follows its objects there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Generic, cast

import msgspec

from airscrew.engine.executor import Setup
from airscrew.plugins.kubernetes import names
from airscrew.plugins.kubernetes.api.client import ObjectClient
from airscrew.plugins.kubernetes.api.connection import Connection
from airscrew.plugins.kubernetes.api.discovery import Discovery
from airscrew.plugins.kubernetes.config import FrameworkConfig
from airscrew.plugins.kubernetes.happenings import Happenings
from airscrew.plugins.kubernetes.objects import Objects, Scope
from airscrew.plugins.kubernetes.plugin import KubernetesPlugin, ViewT
from airscrew.plugins.kubernetes.retention import Retention


@dataclass(frozen=True, slots=True)
class Followed(Generic[ViewT]):
    """
    A cluster, and what is known of our objects there.

    Attributes:
        client: Works on them.
        objects: They.
        happenings: Events about them; None when none are wanted.
        retention: Keeps those that have ended; None when they are deleted.
    """

    client: ObjectClient
    objects: Objects[ViewT]
    happenings: Happenings | None
    retention: Retention | None

    def follow(self, namespace: str) -> None:
        """Hear of a namespace's objects and events, and look after what is kept there, from now on."""
        self.objects.follow(namespace)
        if self.happenings is not None:
            self.happenings.follow(namespace)
        if self.retention is not None:
            self.retention.follow(namespace)

    def forget(self, namespace: str, name: str, uid: str) -> None:
        """Follow an object no more."""
        self.objects.forget(namespace, name)
        if self.happenings is not None:
            self.happenings.forget(uid)


@asynccontextmanager
async def open_followed(
    plugin: KubernetesPlugin[ViewT],
    connection: Connection,
    config: FrameworkConfig,
    setup: Setup,
    on_back: Callable[[], None],
) -> AsyncIterator[Followed[ViewT]]:
    """
    Follow what an executor makes; nothing is asked of the cluster yet.

    Args:
        plugin: Says what is followed.
        connection: The way to the API server.
        config: The operator's decisions.
        setup: What the executor was initialised with.
        on_back: Called when the API server can be reached again.
    """
    client = ObjectClient(connection, plugin.kind, Discovery(connection, setup.clock))
    async with AsyncExitStack() as stack:
        objects = await stack.enter_async_context(_objects(plugin, client, config, setup, on_back))
        happenings = retention = None
        if config.watch and config.events != "none":
            happenings = await stack.enter_async_context(_happenings(connection, objects, plugin, config, setup))
        if config.retain_seconds:
            retention = await stack.enter_async_context(_retention(plugin, client, config, setup))
        yield Followed(client, objects, happenings, retention)


def _objects(
    plugin: KubernetesPlugin[ViewT],
    client: ObjectClient,
    config: FrameworkConfig,
    setup: Setup,
    on_back: Callable[[], None],
) -> Objects[ViewT]:
    decoder = cast("msgspec.json.Decoder[ViewT]", msgspec.json.Decoder(plugin.view_type))
    scope = Scope(
        selector=names.selector(setup.installation, plugin.id),
        watch=config.watch,
        cluster_wide=config.cluster_wide,
        period=config.period,
        size=config.cache_size,
    )
    return Objects(client, decoder, scope, clock=setup.clock, random=setup.random, wake=setup.wake, on_back=on_back)


def _happenings(
    connection: Connection,
    objects: Objects[ViewT],
    plugin: KubernetesPlugin[ViewT],
    config: FrameworkConfig,
    setup: Setup,
) -> Happenings:
    return Happenings(
        connection,
        plugin.kind,
        is_ours=objects.is_followed,
        wake=setup.wake,
        repeats=plugin.lasting_events,
        normal=config.events == "all",
        cluster_wide=config.cluster_wide,
        clock=setup.clock,
        random=setup.random,
    )


def _retention(
    plugin: KubernetesPlugin[ViewT], client: ObjectClient, config: FrameworkConfig, setup: Setup
) -> Retention:
    return Retention(
        client=client,
        selector=names.selector(setup.installation, plugin.id),
        seconds=config.retain_seconds,
        count=config.retain_count,
        cluster_wide=config.cluster_wide,
        clock=setup.clock,
        random=setup.random,
    )
