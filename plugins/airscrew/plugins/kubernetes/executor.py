"""
The executor over a Kubernetes plugin: create, follow, delete, find.

Guarantees:

1. An attempt has one object: its name is the attempt's key, so the API server itself refuses a second one. One of that
   name that is not this attempt's is never touched.
2. Three writes a task at most: create, delete, and one patch that takes our finalizer off. No read while an object
   is followed; one that vanished is read once before that counts.
3. Our finalizer is on an object from its creation on: "not found" means that it was never created, or that the engine
   let it go. It comes off on every exit.
4. Only the object with the UID that was seen is deleted.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Generic, cast

import msgspec
from typing_extensions import override

from airscrew.engine.cache import Measured
from airscrew.engine.data.errors import StorageUnavailableError
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import (
    Executor,
    Findable,
    Found,
    Gone,
    NotStarted,
    Released,
    Setup,
    StillThere,
    TaskContext,
    TaskStatus,
)
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.kubernetes import names
from airscrew.plugins.kubernetes.answers import Status, status_of, vanished
from airscrew.plugins.kubernetes.api.client import ObjectClient
from airscrew.plugins.kubernetes.api.connection import ClusterConfig, Connection, Reply, open_connection
from airscrew.plugins.kubernetes.api.errors import ApiError, refusal_of
from airscrew.plugins.kubernetes.api.kinds import Kind
from airscrew.plugins.kubernetes.config import FrameworkConfig, read_config
from airscrew.plugins.kubernetes.followed import Followed, open_followed
from airscrew.plugins.kubernetes.objects import Objects
from airscrew.plugins.kubernetes.plugin import ClusterReader, KubernetesPlugin, Look, ViewT
from airscrew.plugins.kubernetes.quota import QuotaGates
from airscrew.plugins.kubernetes.refusals import QuotaFull, There, Unknown, read_refusal
from airscrew.plugins.kubernetes.release import Release
from airscrew.plugins.kubernetes.state import ObjectState
from airscrew.plugins.opened import Opened

log = logging.getLogger("airscrew.kubernetes")

WATCHED_CHECK_SECONDS = 60.0
KILL_PACE_SECONDS = 2.0

Context = TaskContext[ObjectState]
OpenConnection = Callable[[ClusterConfig], AbstractAsyncContextManager[Connection]]


class StartOutcomeError(Exception):
    """Whether the object was created is not known."""


class KubernetesExecutor(Executor[ObjectState], ClusterReader, Generic[ViewT]):
    """
    Runs tasks as objects of the kind that a plugin declares; see the module's guarantees.

    Args:
        plugin: Makes and reads the objects.
        connect: Opens the way to the API server.
    """

    state_type = ObjectState
    outside = "kubernetes"

    def __init__(self, plugin: KubernetesPlugin[ViewT], connect: OpenConnection = open_connection) -> None:
        self._plugin = plugin
        self._connect = connect
        self._opened = Opened()
        self._config = FrameworkConfig()
        self._installation = ""
        self._followed: Followed[ViewT] | None = None
        self._gates = QuotaGates()
        self._unsent: set[str] = set()
        self._wake: Callable[[str], None] = lambda _key: None

    @override
    async def initialize(self, setup: Setup) -> None:
        """
        Read the configuration and reach the cluster; nothing is asked of it yet.

        Raises:
            UsageError: The configuration is wrong; names the key.
            ExecutorError: The ``kubernetes`` package is missing.
        """
        config, rest = read_config(self._plugin.id, setup.config)
        self._plugin.configure(rest)
        await self.close()
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self._connect(config.cluster))
            self._followed = await stack.enter_async_context(
                open_followed(self._plugin, connection, config, setup, self._is_back)
            )
            self._opened.hold(stack)
        self._config, self._installation, self._wake = config, setup.installation, setup.wake
        vars(self).update(
            start_declaration=Findable(settle=config.settle),
            concurrency=config.concurrency or None,
            check_interval=WATCHED_CHECK_SECONDS if config.watch else config.period,
        )

    @override
    def caches(self) -> Sequence[Measured]:
        """Return what its objects are kept in."""
        return () if self._followed is None else (self._followed.objects.cache,)

    @override
    def watches(self) -> Mapping[str, float]:
        """Return how long the most silent watch of its kind has told nothing."""
        if self._followed is None:
            return {}
        objects = self._followed.objects
        age = objects.watch_age()
        return {} if age is None else {objects.cache.name: age}

    @override
    async def start_task(self, context: Context, template: TaskTemplate) -> Status | NotStarted:
        """Create the object, or take the one that an earlier try of this attempt created."""
        if self._config.namespaces and context.namespace not in self._config.namespaces:
            allowed = ", ".join(self._config.namespaces)
            raise PermanentError(
                f"namespace {context.namespace!r} is not one of those that executors.{self._plugin.id}.namespaces "
                f"allows: {allowed}",
                code="NamespaceForbidden",
            )
        try:
            built = await self._plugin.build(context, template, self)
        except (StorageUnavailableError, ApiError, OSError) as error:
            return NotStarted(f"the {self._plugin.kind.kind} cannot be prepared: {error}")
        manifest = names.dressed(
            {"apiVersion": self._plugin.kind.api_version, "kind": self._plugin.kind.kind, **built.manifest},
            context,
            installation=self._installation,
            executor=self._plugin.id,
            labels=self._config.labels,
            annotations=self._config.annotations,
            settings=built.settings,
            finalizer=self._config.finalizer,
        )
        self._parts.follow(context.namespace)
        try:
            await self._api.known()
        except (ApiError, OSError) as error:
            return NotStarted(str(error))
        held = self._gates.held(context.namespace, context.key, self._plugin.demand(manifest), context.clock.now())
        if held is not None:
            return held
        try:
            made = await self._create(context, msgspec.json.encode(manifest))
        except BaseException:
            self._tried(context)
            raise
        if isinstance(made, QuotaFull):
            return self._gates.refused(context.namespace, context.key, made, context.clock.now())
        self._tried(context)
        if isinstance(made, NotStarted):
            return made
        return self._status(context, self._state(context, made), made)

    def _tried(self, context: Context) -> None:
        """Take in that an attempt was not refused by a quota: the next one may try."""
        self._wake_all(self._gates.passed(context.namespace, context.key, context.clock.now()))

    async def _create(self, context: Context, manifest: bytes) -> ViewT | NotStarted:
        try:
            reply = await self._api.create(context.namespace, manifest)
        except ConnectionRefusedError as error:
            self._unsent.add(context.key)
            return NotStarted(str(error))
        self._unsent.discard(context.key)
        return await self._made(context, reply)

    def _is_back(self) -> None:
        """Let those start now that could not reach the API server."""
        unsent, self._unsent = self._unsent, set()
        self._wake_all(unsent)

    async def _made(self, context: Context, reply: Reply) -> ViewT | NotStarted:
        """Say what came of a creation."""
        if reply.is_good:
            return self._seen(reply.body)
        match read_refusal(refusal_of(reply)):
            case NotStarted() as not_started:
                return not_started
            case PermanentError() as error:
                raise error
            case Unknown(reason=reason):
                raise StartOutcomeError(reason)
            case There():
                return await self._adopted(context)

    async def _adopted(self, context: Context) -> ViewT:
        data = await self._api.get(context.namespace, context.key)
        if data is None:
            raise StartOutcomeError("an object of this name was there a moment ago")
        view = self._seen(data)
        if not names.is_ours(view.metadata, context, self._installation):
            raise PermanentError(
                f"{self._plugin.kind.kind} {context.namespace}/{context.key} is there and is not this attempt's: "
                "delete it, or run the task in another namespace",
                code="NameTaken",
            )
        return view

    @override
    async def check_task_status(self, context: Context, state: ObjectState) -> Status:
        """Say how the object was last seen; asks for it only when it has vanished."""
        sighting = self._cache.look(state.namespace, state.name)
        view = sighting.view
        if view is None and sighting.is_gone:
            view = await self._confirm(state)
            if view is None:
                return vanished(self._plugin.kind, state)
        if view is None:
            trouble = self._cache.trouble(state.namespace, state.name)
            return TaskStatus.queued(state, trouble or "the cluster has not told of it yet")
        if view.metadata.uid != state.uid:
            return vanished(self._plugin.kind, state)
        return self._status(context, state, view)

    @override
    def is_same_job(self, one: ObjectState, other: ObjectState) -> bool:
        """Tell by the UID that the cluster gave."""
        return one.uid == other.uid

    async def _confirm(self, state: ObjectState) -> ViewT | None:
        """Read an object that has vanished once more: the list may have been older than it."""
        data = await self._api.get(state.namespace, state.name)
        return None if data is None else self._seen(data)

    @override
    async def kill_task(self, context: Context, state: ObjectState, reason: str) -> Gone | StillThere[ObjectState]:
        """Delete the object, take our finalizer off, and wait until it is gone: one or two writes, then looks."""
        if not state.deleting:
            if not await self._delete(state):
                return self._gone(context, state)
            return StillThere(msgspec.structs.replace(state, deleting=True), check_after=KILL_PACE_SECONDS)
        sighting = self._cache.look(state.namespace, state.name)
        view = sighting.view
        if sighting.is_gone or not sighting.is_known or (view is not None and view.metadata.uid != state.uid):
            # Also when nobody has looked yet in this life of the engine: its next one may come before that.
            view = await self._confirm(state)
            if view is None or view.metadata.uid != state.uid:
                return self._gone(context, state)
        return StillThere(state, check_after=KILL_PACE_SECONDS)

    async def _delete(self, state: ObjectState) -> bool:
        """Delete an object and let it go; False when it is gone already, or gone by that."""
        data = await self._api.delete(state.namespace, state.name, state.uid, grace=self._plugin.grace_seconds)
        if data is None:
            return False
        view = self._cache.decode(data)
        if view is None or view.metadata.uid != state.uid:
            return False  # what is answered for an object that is gone at once is a status
        if names.FINALIZER not in view.metadata.finalizers:
            return True
        keeps = names.other_finalizers(view.metadata)
        return await self._api.let_go(state.namespace, state.name, state.uid, keeps)

    def _gone(self, context: Context, state: ObjectState) -> Gone:
        self._over(context, state)
        return Gone()

    def _over(self, context: Context, state: ObjectState) -> None:
        """Take in that an object is gone: what it had of a quota is free."""
        self._forget(state)
        self._wake_all(self._gates.freed(state.namespace, context.clock.now()))

    def _wake_all(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._wake(key)

    def _forget(self, state: ObjectState) -> None:
        self._parts.forget(state.namespace, state.name, state.uid)

    @override
    async def finalize(self, context: Context, state: ObjectState) -> None:
        """Save what goes with the object, delete it, and follow it no more."""
        view = self._cache.look(state.namespace, state.name).view
        if view is not None and view.metadata.uid == state.uid:
            try:
                await self._plugin.before_deletion(context, view, self)
            except Exception as error:  # noqa: BLE001  # a wall: what could not be saved does not keep the object
                details = {"namespace": state.namespace, "object": state.name, "error": repr(error)}
                log.warning("nothing was saved of an object that ended", extra=details)
        self._forget(state)  # its own end is no news: nobody is to look again for it
        retention = self._parts.retention
        if retention is not None and view is not None and self._plugin.is_over(view):
            keeps = names.other_finalizers(view.metadata)
            await retention.keep(state.namespace, state.name, state.uid, keeps)
        else:
            await self._delete(state)
        self._over(context, state)

    @override
    async def release(self, *, delete: bool) -> Released:
        """Take our finalizer off all objects of this installation, and delete them if that is wanted."""
        namespaces = () if self._config.cluster_wide else self._config.namespaces
        selector = names.selector(self._installation, self._plugin.id)
        return await Release(self._api, selector, namespaces or ("",), delete=delete).run()

    @override
    async def find(self, context: Context) -> Sequence[Found[ObjectState]]:
        """List what carries the key, what has ended included."""
        where = names.key_selector(self._installation, self._plugin.id, context.key)
        listing = await self._api.list(context.namespace, where)
        views = [view for item in listing.items if (view := self._cache.decode(item)) is not None]
        return [Found(self._state(context, view), _created(view.metadata.creation_timestamp)) for view in views]

    @override
    async def read_object(self, kind: Kind, namespace: str, name: str) -> bytes | None:
        """
        Read another object, as a PodTemplate; None when it is not there.

        Raises:
            ApiError: The API server refuses.
            OSError: It could not be asked.
        """
        return await ObjectClient(self._api.connection, kind, self._api.discovery).get(namespace, name)

    @override
    async def read_part(self, namespace: str, name: str, part: str, query: Mapping[str, str]) -> bytes | None:
        """
        Read a part of an object, as its ``log``; None when it is not there.

        Raises:
            ApiError: The API server refuses.
            OSError: It could not be asked.
        """
        return await self._api.read_part(namespace, name, part, query)

    @override
    async def close(self) -> None:
        """Follow nothing more and close the session, on the loop that they were opened on."""
        await self._opened.close()

    @property
    def calls(self) -> Mapping[str, int]:
        """How many requests were sent to the API server, by method; ``WATCH`` for watches."""
        return self._api.connection.counts

    @property
    def _parts(self) -> Followed[ViewT]:
        assert self._followed is not None, "it is used before it is initialised"
        return self._followed

    @property
    def _api(self) -> ObjectClient:
        return self._parts.client

    @property
    def _cache(self) -> Objects[ViewT]:
        return self._parts.objects

    def _seen(self, data: bytes) -> ViewT:
        view = self._cache.decode(data)
        if view is None:
            raise StartOutcomeError("the API server's answer is no object of this kind")
        return self._cache.saw(view).view or view

    def _state(self, context: Context, view: ViewT) -> ObjectState:
        return ObjectState(
            namespace=view.metadata.namespace,
            name=view.metadata.name,
            uid=view.metadata.uid,
            created_at=context.clock.now(),
            settings=names.read_settings(view.metadata),
        )

    def _status(self, context: Context, state: ObjectState, view: ViewT) -> Status:
        parts = self._parts
        parts.follow(state.namespace)
        happening = parts.happenings.latest(state.uid) if parts.happenings is not None else None
        look = Look(now=context.clock.now(), memory=state.memory, settings=state.settings, happening=happening)
        told = self._plugin.read_phase(view, look)
        state = msgspec.structs.replace(state, memory=cast("dict[str, Any]", told.memory))
        return status_of(told, state, context.locations.output_prefix)


def _created(at: datetime.datetime | None) -> float:
    return 0.0 if at is None else at.timestamp()
