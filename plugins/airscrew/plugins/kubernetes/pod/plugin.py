"""
The plugin of Pods: what is asked of the cluster and of storage on the way to a manifest, and what is saved of a Pod.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from decimal import Decimal
from typing import TYPE_CHECKING, cast

import msgspec
from cachetools import TTLCache
from typing_extensions import override

from airscrew.engine.errors import PermanentError, RetryableError
from airscrew.engine.executor import TaskContext
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import TaskInfo
from airscrew.plugins.kubernetes.api.errors import ApiError
from airscrew.plugins.kubernetes.api.kinds import POD, Kind
from airscrew.plugins.kubernetes.plugin import Built, ClusterReader, KubernetesPlugin, Look, ObjectPhase
from airscrew.plugins.kubernetes.pod.build import PodAttempt, TemplateChoice, build_pod, choose_pod_template
from airscrew.plugins.kubernetes.pod.config import PodConfig, read_config
from airscrew.plugins.kubernetes.pod.demand import pod_demand
from airscrew.plugins.kubernetes.pod.log_links import LinkTemplate, PodFacts, TaskFacts, pod_links, task_links
from airscrew.plugins.kubernetes.pod.phases import MOUNT_EVENTS, task_phase
from airscrew.plugins.kubernetes.pod.source import source_pod
from airscrew.plugins.kubernetes.pod_phase import Cause, Graces, PodPhase
from airscrew.plugins.kubernetes.pod_view import PodView
from airscrew.plugins.kubernetes.state import ObjectState

if TYPE_CHECKING:
    from airscrew.idl.template import TaskTemplate

POD_TEMPLATE = Kind("", "v1", "PodTemplate", "podtemplates")
TEMPLATE_SECONDS = 30.0
LOG_LINES = 50_000
"""Of a log that is longer its end is kept: that is where a failure is told."""

LOG_FILE = "log.txt"

_Templates = MutableMapping[tuple[str, str], bytes]


class _Settings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a look at a Pod needs of its template."""

    primary: str = ""
    uploads: bool = False
    links: tuple[LinkTemplate, ...] = ()


class PodPlugin(KubernetesPlugin[PodView]):
    """Tasks as Pods."""

    id = "pod"
    task_types = ("container", "python-task", "raw-container", "sidecar", "pod")
    kind = POD
    view_type = PodView
    takes_containers = True
    grace_seconds = 30
    """A Pod with a data loader has an hour for its uploads; one that is killed has not."""
    lasting_events = MOUNT_EVENTS

    def __init__(self) -> None:
        self._config = PodConfig()
        self._templates: _Templates = TTLCache[tuple[str, str], bytes, float](1024, TEMPLATE_SECONDS)

    @override
    def configure(self, config: Mapping[str, object]) -> None:
        self._config = read_config(config)

    @override
    async def build(self, context: TaskContext[ObjectState], template: TaskTemplate, cluster: ClusterReader) -> Built:
        source = source_pod(template, context.overrides)
        texts = source.texts()
        source = source.with_texts(await context.render(texts))
        if template.interface.inputs or any("{{" in line for line in texts):
            await context.place_inputs()  # nothing else tells a Pod where they lie
        pod_template = await self._pod_template(choose_pod_template(template, context.namespace, self._config), cluster)
        built = build_pod(
            source,
            template,
            _attempt(context),
            self._config,
            pod_template=pod_template,
            engine_env=os.environ,
        )
        facts = TaskFacts(
            task_id=context.task_id,
            attempt=context.attempt,
            execution=context.execution.name,
            namespace=context.namespace,
            generated_name=context.key,
            config=template.config,
        )
        links = task_links(self._config.logs, template.metadata.log_links, facts)
        settings = _Settings(primary=built.primary, uploads=built.uploads, links=links)
        return Built(manifest=built.manifest, settings=msgspec.to_builtins(settings))

    async def _pod_template(self, choice: TemplateChoice, cluster: ClusterReader) -> Mapping[str, object] | None:
        """Fetch the PodTemplate that is wanted, from the first namespace that has it."""
        for namespace in choice.namespaces if choice.name else ():
            place = (namespace, choice.name)
            data = self._templates.get(place) or await _read_pod_template(cluster, *place)
            if data is not None:  # one that is missing is looked for again: somebody may be about to make it
                self._templates[place] = data
                return cast("Mapping[str, object]", msgspec.json.decode(data, type=dict))
        return None

    @override
    def demand(self, manifest: Mapping[str, object]) -> Mapping[str, Decimal]:
        return pod_demand(manifest)

    @override
    def read_phase(self, view: PodView, look: Look) -> ObjectPhase:
        settings = msgspec.convert(look.settings, _Settings)
        config = self._config
        told = task_phase(
            view,
            primary=settings.primary,
            uploads=settings.uploads,
            now=look.now,
            cause=_cause(look.memory),
            graces=Graces(
                create_container_error=config.create_container_error_grace,
                create_container_config_error=config.create_container_config_error_grace,
                image_pull=config.image_pull_grace,
                mount=config.mount_grace,
            ),
            happening=look.happening,
        )
        return _object_phase(told, view, settings, look.now)

    @override
    def is_over(self, view: PodView) -> bool:
        return view.status.phase in {"Succeeded", "Failed"} and view.metadata.deletion_timestamp is None

    @override
    async def before_deletion(self, context: TaskContext[ObjectState], view: PodView, cluster: ClusterReader) -> None:
        """Keep the log of the task's container beside its outputs: it goes with the Pod."""
        if not self._config.keep_logs:
            return
        primary = view.metadata.annotations.get("primary_container_name", "")
        query = {"tailLines": str(LOG_LINES), **({"container": primary} if primary else {})}
        log = await cluster.read_part(view.metadata.namespace, view.metadata.name, "log", query)
        if log is not None:
            await context.data.write_bytes(f"{context.locations.output_prefix}/{LOG_FILE}", log)


async def _read_pod_template(cluster: ClusterReader, namespace: str, name: str) -> bytes | None:
    """
    Read a PodTemplate; None when it is not there.

    Raises:
        PermanentError: The engine may not read it: nothing was created, and asking again does not help.
        RetryableError: The API server does not say: certainly nothing was created.
    """
    try:
        return await cluster.read_object(POD_TEMPLATE, namespace, name)
    except ApiError as error:
        if error.status in {401, 403}:
            message = f"airscrew may not read PodTemplates in {namespace}: {error}"
            raise PermanentError(message, code="Forbidden", kind=ErrorKind.SYSTEM) from error
        raise RetryableError(str(error), code="PodTemplateUnavailable") from error
    except OSError as error:
        message = f"PodTemplate {namespace}/{name} cannot be read now: {error}"
        raise RetryableError(message, code="PodTemplateUnavailable") from error


def _attempt(context: TaskContext[ObjectState]) -> PodAttempt:
    return PodAttempt(
        name=context.key,
        namespace=context.namespace,
        labels=context.labels,
        annotations=context.annotations,
        service_account=context.service_account,
        environment=context.environment,
        interruptible=context.interruptible,
        overrides=context.overrides,
        locations=context.locations,
    )


def _cause(memory: Mapping[str, object]) -> Cause | None:
    name, since = memory.get("cause"), memory.get("since")
    return Cause(name, float(since)) if isinstance(name, str) and isinstance(since, int | float) else None


def _object_phase(told: PodPhase, view: PodView, settings: _Settings, now: float) -> ObjectPhase:
    own = view.container(settings.primary)
    running = own.state.running if own is not None else None
    ended = own.state.terminated if own is not None else None
    facts = PodFacts(
        name=view.metadata.name,
        uid=view.metadata.uid,
        container=settings.primary,
        container_id=own.container_id if own is not None else "",
        hostname=view.spec.hostname or view.metadata.name,
        node=view.spec.node_name,
        started_at=running.started_at if running is not None else view.metadata.creation_timestamp,
        finished_at=ended.finished_at if ended is not None else None,
    )
    memory: dict[str, object] = {}
    if told.cause is not None:
        memory = {"cause": told.cause.name, "since": told.cause.since}
    return ObjectPhase(
        phase=told.phase,
        reason=told.reason,
        code=told.code,
        kind=told.kind,
        cleanup=told.cleanup,
        info=TaskInfo(logs=pod_links(settings.links, facts, told.phase, now=now)),
        memory=memory,
        look_again=told.look_again,
    )
