from __future__ import annotations

from typing import Any

import pytest
from tests.support.literal_maps import plain

from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.http_job.config import read_config
from airscrew.plugins.http_job.decide import Rules, decide
from airscrew.plugins.http_job.replies import HttpJobError, JobView
from airscrew.plugins.http_job.state import HttpJobState

RULES = Rules.of(
    "s",
    read_config(
        {
            "services": {
                "s": {
                    "url": "http://jobs.test",
                    "create": {"path": "/jobs"},
                    "get": {"path": "/jobs/{id}"},
                    "outputs": "$.result",
                    "phases": {
                        "Queued": "Queued",
                        "busy": "Running",
                        "done": "Success",
                        "failed": "RetryableFailure",
                        "bad": "PermanentFailure",
                        "lost": "RetryableFailure",
                    },
                    "system_failures": ["Lost"],
                }
            }
        }
    ).services["s"],
)


def state(**more: Any) -> HttpJobState:
    return HttpJobState(service="s", id="j1", created_at=1.0, **more)


@pytest.mark.parametrize(
    ("status", "phase"),
    [("queued", Phase.QUEUED), ("QUEUED", Phase.QUEUED), ("busy", Phase.RUNNING), ("done", Phase.SUCCESS)],
)
def test_a_status_is_the_phase_that_the_configuration_says_in_any_case(status: str, phase: Phase) -> None:
    assert decide(RULES, state(), JobView(status=status)).phase is phase


def test_a_job_that_was_not_heard_of_in_this_life_stands_where_it_stood() -> None:
    status = decide(RULES, state(status="busy", progress=0.5, message="on it"), JobView())

    assert (status.phase, status.info.progress, status.reason) == (Phase.RUNNING, 0.5, "on it")


def test_what_is_new_goes_into_the_state() -> None:
    status = decide(
        RULES, state(status="queued"), JobView(status="busy", message="on it", progress=0.1, log="http://l")
    )

    assert status.state == state(status="busy", message="on it", progress=0.1, log="http://l")
    assert [link.uri for link in status.info.logs] == ["http://l"]
    assert [(job.external_id, job.phase) for job in status.info.external_resources] == [("j1", Phase.RUNNING)]


@pytest.mark.parametrize(
    ("status", "phase", "kind"),
    [
        ("failed", Phase.RETRYABLE_FAILURE, ErrorKind.USER),
        ("bad", Phase.PERMANENT_FAILURE, ErrorKind.USER),
        ("lost", Phase.RETRYABLE_FAILURE, ErrorKind.SYSTEM),
    ],
)
def test_a_failure_is_billed_as_the_configuration_says(status: str, phase: Phase, kind: ErrorKind) -> None:
    decided = decide(RULES, state(), JobView(status=status, message="out of disk", code="NoDisk"))

    assert decided.phase is phase
    assert decided.error is not None
    assert (decided.error.code, decided.error.message, decided.error.kind) == ("NoDisk", "out of disk", kind)


def test_a_status_that_nobody_declared_is_an_error_that_names_the_key_to_set() -> None:
    with pytest.raises(HttpJobError, match=r"says 'paused' of job j1: add it to services\.s\.phases"):
        decide(RULES, state(), JobView(status="paused"))


def test_outputs_are_read_by_their_types() -> None:
    declared = {"words": {"simple": "INTEGER"}, "share": {"simple": "FLOAT"}}

    status = decide(RULES, state(outputs=declared), JobView(status="done", outputs={"words": 3, "share": 1, "more": 0}))

    assert plain(status.outputs) == {"words": 3, "share": 1.0}


def test_the_only_output_may_be_the_whole_result() -> None:
    status = decide(RULES, state(outputs={"o0": {"simple": "STRING"}}), JobView(status="done", outputs="hi"))

    assert plain(status.outputs) == {"o0": "hi"}


@pytest.mark.parametrize("result", [None, {}, {"words": "three"}, [1]])
def test_a_result_that_does_not_fit_is_a_failure_that_names_the_output(result: object) -> None:
    declared = {"words": {"simple": "INTEGER"}, "o1": {"simple": "STRING"}}

    status = decide(RULES, state(outputs=declared), JobView(status="done", outputs=result))

    assert status.phase is Phase.PERMANENT_FAILURE
    assert status.error is not None
    assert status.error.code == "BadOutputs"
    assert "words" in status.error.message
