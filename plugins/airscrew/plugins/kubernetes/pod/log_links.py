"""
Links to the logs of a task, made of templates in two steps. Pure.

The first step, at the start, puts in what the task and the attempt are; what it gives goes into the state, for the
template is not seen again. The second puts in what only the Pod knows. A link with a variable that is not known (yet)
is left out: half an address leads nowhere.

    of the task      taskID taskVersion taskProject taskDomain taskRetryAttempt executionName executionProject
                     executionDomain generatedName nodeID namespace logName taskConfig.<key>
    of the Pod       podName podUID containerName containerID hostname nodeName podRFC3339StartTime
                     podRFC3339FinishTime podUnixStartTime podUnixFinishTime
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from airscrew.idl.phase import LogLink, Phase
from airscrew.idl.template import LogLinkTemplate
from airscrew.plugins.kubernetes.pod.config import Logs

KUBERNETES = "/#/log/{{ .namespace }}/{{ .podName }}/pod?namespace={{ .namespace }}"
CLOUDWATCH = (
    "https://console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group};"
    "stream=var.log.containers.{{{{ .podName }}}}_{{{{ .namespace }}}}_{{{{ .containerName }}}}-"
    "{{{{ .containerId }}}}.log"
)
STACKDRIVER = (
    "https://console.cloud.google.com/logs/viewer?project={project}&resource={resource}"
    "&advancedFilter=resource.labels.pod_name%3D{{{{ .podName }}}}"
)
LINK_TYPE = "link_type"

_VARIABLE = re.compile(r"\{\{\s*[.$](?P<name>[A-Za-z0-9_.$]+)\s*\}\}")
_PENDING = frozenset({Phase.QUEUED, Phase.INITIALIZING, Phase.WAITING_FOR_RESOURCES})


class LinkTemplate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A link of which only what the Pod knows is missing; part of the state."""

    name: str
    uri: str
    show_while_pending: bool = False
    hide_once_finished: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """
    What is known of a task before its Pod is.

    Attributes:
        task_id: project, domain, name, version.
        attempt: The attempt's number.
        execution: The execution's name.
        namespace: Where its objects are.
        generated_name: The name of its objects.
        config: The template's free configuration.
    """

    task_id: Mapping[str, str]
    attempt: int
    execution: str
    namespace: str
    generated_name: str
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """
    What only a Pod knows; empty and None for what it does not tell yet.

    Attributes:
        name: Its name.
        uid: Its UID.
        container: The name of the container.
        container_id: Its id, as ``containerd://…``.
        hostname: The Pod's host name.
        node: Its node.
        started_at: When it started.
        finished_at: When it ended.
    """

    name: str
    uid: str = ""
    container: str = ""
    container_id: str = ""
    hostname: str = ""
    node: str = ""
    started_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None


def task_links(config: Logs, own: Iterable[LogLinkTemplate], facts: TaskFacts) -> tuple[LinkTemplate, ...]:
    """
    Give the links of a task, with what is known before its Pod is.

    Args:
        config: What the administrator configured.
        own: What the template itself asks for (Flyte 2).
        facts: The task.
    """
    values = _task_values(facts)
    wanted = {one.strip() for one in facts.config.get(LINK_TYPE, "").split(",")}
    links = [
        *_configured(config, wanted),
        *(
            LinkTemplate(
                name=one.name,
                uri=one.uri,
                show_while_pending=one.show_while_pending,
                hide_once_finished=one.hide_once_finished,
            )
            for one in own
        ),
    ]
    return tuple(
        msgspec.structs.replace(
            link,
            name=_filled(link.name, values),
            uri=_filled(link.uri, {**values, "logname": quote(_filled(link.name, values), safe="")}),
        )
        for link in links
    )


def pod_links(links: Sequence[LinkTemplate], facts: PodFacts, phase: Phase, *, now: float) -> tuple[LogLink, ...]:
    """
    Give the links that lead somewhere now.

    Args:
        links: What :func:`task_links` gave.
        facts: The Pod.
        phase: How the attempt stands.
        now: Unix seconds: the end of the log of a Pod that has not ended.
    """
    if not links:
        return ()  # it is asked at each look at a Pod
    values = _pod_values(facts, now)
    found: list[LogLink] = []
    for link in links:
        if phase in _PENDING and not link.show_while_pending:
            continue
        if phase.is_terminal and link.hide_once_finished:
            continue
        uri = _filled(link.uri, values)
        if not _VARIABLE.search(uri):
            found.append(
                LogLink(
                    name=_filled(link.name, values),
                    uri=uri,
                    show_while_pending=link.show_while_pending,
                    hide_once_finished=link.hide_once_finished,
                )
            )
    return tuple(found)


def _configured(config: Logs, wanted: set[str]) -> Iterator[LinkTemplate]:
    if config.kubernetes_template or config.kubernetes_url:
        uri = config.kubernetes_template or config.kubernetes_url.rstrip("/") + KUBERNETES
        yield LinkTemplate(name="Kubernetes Logs", uri=uri)
    if config.cloudwatch_region:
        group = config.cloudwatch_log_group
        yield LinkTemplate(name="Cloudwatch Logs", uri=CLOUDWATCH.format(region=config.cloudwatch_region, group=group))
    if config.stackdriver_project:
        project, resource = config.stackdriver_project, config.stackdriver_resource
        yield LinkTemplate(name="Stackdriver Logs", uri=STACKDRIVER.format(project=project, resource=resource))
    for template in config.templates:
        if template.link_type and template.link_type not in wanted:
            continue
        for uri in template.uris:
            yield LinkTemplate(
                name=template.name,
                uri=uri,
                show_while_pending=template.show_while_pending,
                hide_once_finished=template.hide_once_finished,
            )


def _task_values(facts: TaskFacts) -> dict[str, str]:
    project, domain = facts.task_id.get("project", ""), facts.task_id.get("domain", "")
    values = {
        "taskid": facts.task_id.get("name", ""),
        "taskversion": facts.task_id.get("version", ""),
        "taskproject": project,
        "taskdomain": domain,
        "taskretryattempt": str(facts.attempt),
        "executionname": facts.execution,
        "executionproject": project,
        "executiondomain": domain,
        "nodeid": facts.execution,
        "generatedname": facts.generated_name,
        "namespace": facts.namespace,
    }
    return values | {f"taskconfig.{key.lower()}": value for key, value in facts.config.items()}


def _pod_values(facts: PodFacts, now: float) -> dict[str, str]:
    finished = facts.finished_at or datetime.datetime.fromtimestamp(now, datetime.UTC)
    values = {
        "podname": facts.name,
        "poduid": facts.uid,
        "containername": facts.container,
        "containerid": facts.container_id.rpartition("://")[2],
        "hostname": facts.hostname,
        "nodename": facts.node,
    }
    for what, time in (("start", facts.started_at), ("finish", finished)):
        values[f"podrfc3339{what}time"] = _rfc3339(time) if time else ""
        values[f"podunix{what}time"] = str(int(time.timestamp())) if time else ""
    return values


def _rfc3339(time: datetime.datetime) -> str:
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Put in what is known and not empty; the rest stays as it is."""

    def value(match: re.Match[str]) -> str:
        return values.get(match["name"].replace("$", ".").lower()) or match[0]

    return _VARIABLE.sub(value, text)
