"""Links to logs: what they lead to, and when they are there."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from airscrew.idl.phase import Phase
from airscrew.idl.template import LogLinkTemplate
from airscrew.plugins.kubernetes.pod.config import Logs, LogTemplate
from airscrew.plugins.kubernetes.pod.log_links import PodFacts, TaskFacts, pod_links, task_links

TASK = TaskFacts(
    task_id={"project": "proj", "domain": "dev", "name": "mod.fn", "version": "v1"},
    attempt=2,
    execution="run-1",
    namespace="team",
    generated_name="akey",
    config={"link_type": "notebook, other", "port": "8888"},
)
POD = PodFacts(
    name="akey",
    uid="u-1",
    container="primary",
    container_id="containerd://abc",
    hostname="akey",
    node="node-7",
    started_at=datetime.datetime(2026, 11, 1, 10, 0, tzinfo=datetime.UTC),
    finished_at=datetime.datetime(2026, 11, 1, 11, 0, tzinfo=datetime.UTC),
)
NOW = POD.started_at.timestamp() + 1800 if POD.started_at else 0.0


def links(config: Logs, *own: LogLinkTemplate, phase: Phase = Phase.RUNNING, pod: PodFacts = POD) -> dict[str, str]:
    return {one.name: one.uri for one in pod_links(task_links(config, own, TASK), pod, phase, now=NOW)}


def uri(text: str, pod: PodFacts = POD) -> str | None:
    return links(Logs(templates=(LogTemplate(name="n", uris=(text,)),)), pod=pod).get("n")


KNOWN = [
    ("Kubernetes Logs", Logs(kubernetes_url="http://localhost:30082/"),
     "http://localhost:30082/#/log/team/akey/pod?namespace=team"),
    ("Kubernetes Logs", Logs(kubernetes_url="http://k", kubernetes_template="http://own/{{ .podName }}"),
     "http://own/akey"),
    ("Cloudwatch Logs", Logs(cloudwatch_region="us-east-1", cloudwatch_log_group="/flyte"),
     "https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#logEventViewer:group=/flyte;"
     "stream=var.log.containers.akey_team_primary-abc.log"),
    ("Stackdriver Logs", Logs(stackdriver_project="gp"),
     "https://console.cloud.google.com/logs/viewer?project=gp&resource=k8s_container"
     "&advancedFilter=resource.labels.pod_name%3Dakey"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "config", "address"), KNOWN)
def test_the_known_services(name: str, config: Logs, address: str) -> None:
    assert links(config) == {name: address}


VARIABLES = {
    "podName": "akey", "podUID": "u-1", "namespace": "team", "containerName": "primary", "containerId": "abc",
    "hostname": "akey", "nodeName": "node-7", "podRFC3339StartTime": "2026-11-01T10:00:00Z",
    "podRFC3339FinishTime": "2026-11-01T11:00:00Z", "podUnixStartTime": "1793527200",
    "podUnixFinishTime": "1793530800", "taskID": "mod.fn", "taskVersion": "v1", "taskProject": "proj",
    "taskDomain": "dev", "taskRetryAttempt": "2", "nodeID": "run-1", "executionName": "run-1",
    "executionProject": "proj", "executionDomain": "dev", "generatedName": "akey", "logName": "n",
    "taskConfig.port": "8888",
}  # fmt: skip


@pytest.mark.parametrize(("variable", "value"), VARIABLES.items())
def test_every_variable_has_its_value_in_either_spelling(variable: str, value: str) -> None:
    assert uri(f"x/{{{{ .{variable} }}}}") == f"x/{value}"
    assert uri(f"x/{{{{${variable.upper()}}}}}") == f"x/{value}"


def test_a_link_with_what_is_not_known_yet_is_left_out() -> None:
    early = replace(POD, container_id="", started_at=None)

    assert uri("x/{{ .containerID }}", early) is None
    assert uri("x/{{ .podUnixStartTime }}", early) is None
    assert uri("x/{{ .podName }}", early) == "x/akey"
    assert uri("x/{{ .taskConfig.unknown }}") is None


def test_a_pod_that_has_not_ended_ends_now_in_its_links() -> None:
    assert uri("{{ .podUnixFinishTime }}", replace(POD, finished_at=None)) == str(int(NOW))


WHEN = [
    (Phase.QUEUED, {"pending", "both"}),
    (Phase.INITIALIZING, {"pending", "both"}),
    (Phase.RUNNING, {"pending", "both", "plain", "live"}),
    (Phase.SUCCESS, {"pending", "plain"}),
    (Phase.RETRYABLE_FAILURE, {"pending", "plain"}),
]


@pytest.mark.parametrize(("phase", "shown"), WHEN)
def test_links_are_shown_when_they_lead_somewhere(phase: Phase, shown: set[str]) -> None:
    config = Logs(
        templates=(
            LogTemplate(name="plain", uris=("x",)),
            LogTemplate(name="pending", uris=("x",), show_while_pending=True),
            LogTemplate(name="live", uris=("x",), hide_once_finished=True),
            LogTemplate(name="both", uris=("x",), show_while_pending=True, hide_once_finished=True),
        )
    )

    assert set(links(config, phase=phase)) == shown


def test_a_link_for_some_tasks_is_there_for_those_that_name_it() -> None:
    config = Logs(
        templates=(
            LogTemplate(name="notebook", uris=("http://{{ .podName }}:{{ .taskConfig.port }}",), link_type="notebook"),
            LogTemplate(name="vscode", uris=("http://x",), link_type="vscode"),
        )
    )

    assert links(config) == {"notebook": "http://akey:8888"}


def test_a_task_brings_links_of_its_own() -> None:
    assert links(Logs(), LogLinkTemplate(name="W&B", uri="https://wb/{{ .executionName }}")) == {
        "W&B": "https://wb/run-1"
    }
