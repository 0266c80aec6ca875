from __future__ import annotations

import re

import msgspec
import pytest
from tests.support.literal_maps import literals

from airscrew.engine.executor import OutputsAt
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import LogLink, Phase
from airscrew.plugins.connector.answers import JobView
from airscrew.plugins.connector.config import GONE
from airscrew.plugins.connector.decide import GIVE_UP_AFTER, complained, decide, is_over, missed
from airscrew.plugins.connector.state import ConnectorState

STATE = ConnectorState(service="files", task_type="file_job", output_prefix="memory://out", has_outputs=True)


def test_a_job_that_was_not_heard_of_yet_is_queued() -> None:
    assert decide(STATE, JobView()).phase is Phase.QUEUED


def test_a_job_that_is_not_heard_of_in_this_life_stands_where_it_stood() -> None:
    state = msgspec.structs.replace(STATE, phase=Phase.RUNNING, message="at work")

    status = decide(state, JobView(), "connector files cannot be reached")

    assert status.phase is Phase.RUNNING
    assert status.reason == "at work; not heard of it since: connector files cannot be reached"


def test_links_stay_when_a_later_answer_has_none() -> None:
    links = (LogLink(name="Console", uri="https://jobs.example/1"),)
    state = decide(STATE, JobView(phase=Phase.RUNNING, logs=links)).state

    assert decide(state, JobView(phase=Phase.SUCCESS)).info.logs == links


def test_outputs_that_the_answer_holds_are_taken() -> None:
    outputs = literals(answer=("aaa", str))

    assert decide(STATE, JobView(phase=Phase.SUCCESS, outputs=outputs)).outputs is outputs


def test_outputs_that_it_does_not_hold_lie_at_the_prefix() -> None:
    assert decide(STATE, JobView(phase=Phase.SUCCESS)).outputs == OutputsAt("memory://out")


def test_an_error_document_counts_even_where_no_outputs_are_declared() -> None:
    state = msgspec.structs.replace(STATE, has_outputs=False)

    assert decide(state, JobView(phase=Phase.SUCCESS)).outputs == OutputsAt("memory://out", missing_is_success=True)


def test_a_failure_is_whose_the_connector_says() -> None:
    view = JobView(phase=Phase.RETRYABLE_FAILURE, message="quota", error_code="Quota", error_kind=ErrorKind.SYSTEM)

    status = decide(STATE, view)

    assert status.phase is Phase.RETRYABLE_FAILURE
    assert status.error is not None
    assert (status.error.code, status.error.kind, status.error.message) == ("Quota", ErrorKind.SYSTEM, "quota")


@pytest.mark.parametrize(
    ("times", "phase"), [(GIVE_UP_AFTER - 1, Phase.QUEUED), (GIVE_UP_AFTER, Phase.PERMANENT_FAILURE)]
)
def test_answers_that_cannot_be_right_end_the_attempt_when_there_are_several_in_a_row(times: int, phase: Phase) -> None:
    view = JobView()
    for _ in range(times):
        view = complained(view, "connector files: the answer is empty")

    status = decide(STATE, view)

    assert status.phase is phase
    assert "connector files: the answer is empty" in status.reason
    assert is_over(view) is status.cleanup is phase.is_terminal


@pytest.mark.parametrize("meta", [b'{"id": 7}', b"\x80\x04\x95", b"\xff", "ü".encode()])
def test_metadata_comes_back_byte_for_byte_and_is_legible_where_it_is_text(meta: bytes) -> None:
    state = STATE.with_meta(meta)

    stored = msgspec.json.decode(msgspec.json.encode(state), type=ConnectorState)

    assert stored.resource_meta == meta
    assert bool(stored.meta) is not bool(stored.meta_base64)


def test_a_job_is_gone_when_its_provider_has_not_known_it_for_long_and_said_so_often() -> None:
    view = JobView(phase=Phase.RUNNING)
    seen = []
    for now in (10.0, 20.0, 69.0, 70.0):
        view = missed(view, "404 Not Found", now, 60.0)
        seen.append(decide(STATE, view))

    assert [status.phase for status in seen] == [*[Phase.RUNNING] * 3, Phase.RETRYABLE_FAILURE]
    assert "not heard of it since: 404 Not Found" in seen[0].reason
    assert is_over(view)
    assert not missed(missed(JobView(), "404 Not Found", 0.0, 60.0), "404 Not Found", 1e6, 60.0).is_gone


@pytest.mark.parametrize(
    ("told", "is_gone"),
    [
        ("HTTPError: 404 Client Error: Not Found for url: https://x/jobs/1", True),
        ("NotFound: 404 GET https://bigquery.googleapis.com/x: Not found: Job p:US.j", True),
        ("google.api_core.exceptions.NotFound: 404 Not found", True),
        ("Error code: 404 - {'error': ...}", True),
        ("ResourceNotFoundException: An error occurred", True),
        ("InvalidParameterValue: Run 12 does not exist.", True),
        ("slurm_load_jobs error: Invalid job id specified", True),
        ("[Errno -2] Name or service not found", False),
        ("503 Server Error: Service Unavailable for url: https://x/jobs/404", False),
        ("ConnectionError: job 404 cannot be read, connection refused", False),
        ("host not found in upstream", False),
    ],
)
def test_what_libraries_say_of_a_job_that_is_not_there_is_told_from_an_outage(told: str, is_gone: bool) -> None:
    assert bool(re.search(GONE, told)) == is_gone
