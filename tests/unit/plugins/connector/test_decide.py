from __future__ import annotations

import msgspec
import pytest
from tests.support.literal_maps import literals

from airscrew.engine.executor import OutputsAt
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import LogLink, Phase
from airscrew.plugins.connector.answers import JobView
from airscrew.plugins.connector.decide import GIVE_UP_AFTER, complained, decide, is_over
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
