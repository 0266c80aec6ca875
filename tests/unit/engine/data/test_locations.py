from __future__ import annotations

from dataclasses import asdict

from tests.unit.engine.data.make import EXECUTION, UID, key, locations

from airscrew.engine.data.locations import (
    deck_name,
    execution_prefix,
    for_task,
    plan_locations,
    raw_output_prefix,
    run_base,
    run_name,
)
from airscrew.idl.ids import ExecutionId, Uid
from airscrew.idl.wire import WireForm


def test_inputs_are_shared_by_attempts_and_outputs_are_not() -> None:
    first, second = locations("s3://b/p", 0), locations("s3://b/p", 1)

    assert first.input_uri == second.input_uri == "s3://b/p/team/hello-01234567/inputs.pb"
    assert first.template_uri == second.template_uri == "s3://b/p/team/hello-01234567/task.pb"
    assert first.output_prefix == "s3://b/p/team/hello-01234567/0"
    assert second.output_prefix == "s3://b/p/team/hello-01234567/1"
    assert first.raw_output_prefix != second.raw_output_prefix


def test_a_later_execution_of_the_same_name_has_its_own_files() -> None:
    assert execution_prefix("/b", EXECUTION, UID) != execution_prefix("/b", EXECUTION, Uid("f" * 32))


def test_an_attempt_finds_the_checkpoints_of_the_one_before() -> None:
    first, second, third = (locations("s3://b/p", number) for number in range(3))

    assert first.previous_checkpoint_prefix == ""
    assert first.checkpoint_prefix == f"{first.raw_output_prefix}/_flytecheckpoints"
    assert second.previous_checkpoint_prefix == first.checkpoint_prefix
    assert third.previous_checkpoint_prefix == second.checkpoint_prefix


def test_blobs_are_spread_over_two_characters_of_the_key() -> None:
    prefix = raw_output_prefix("s3://raw", key())

    shard, name = prefix.removeprefix("s3://raw/").split("/")
    assert (len(shard), name) == (2, key())


def test_the_layout_of_flyte_2_is_the_one_its_sdk_computes() -> None:
    planned = locations("s3://b/p", 0, WireForm.FLYTE2)

    assert planned.input_uri == "s3://b/p/team/hello-01234567/a0/inputs.pb"
    assert planned.output_prefix == "s3://b/p/team/hello-01234567/a0/1"
    assert run_base(planned) == "s3://b/p/team/hello-01234567"
    assert run_name(planned) == "hello-01234567"


def test_no_location_ends_in_a_slash_whatever_the_base() -> None:
    planned = plan_locations("/b/", EXECUTION, UID, 0, key(), raw_base="/raw/", work_base="/work/")

    assert not [value for value in asdict(planned).values() if value.endswith("/") or "//" in value]
    assert planned.work_directory == f"/work/{key()}"


def test_no_two_executions_share_a_prefix() -> None:
    one = execution_prefix("/b", ExecutionId("a", "b-c"), UID)
    other = execution_prefix("/b", ExecutionId("a-b", "c"), UID)

    assert not one.startswith(other)
    assert not other.startswith(one)


def test_a_file_of_this_machine_is_given_to_a_task_as_its_path() -> None:
    assert for_task("file:///with%20space/x") == "/with space/x"
    assert for_task("/plain%20path") == "/plain%20path"
    assert for_task("s3://b/x%20y") == "s3://b/x%20y"
    assert for_task("") == ""


def test_each_sdk_has_its_own_name_for_the_page_for_people() -> None:
    assert (deck_name(WireForm.FLYTE1), deck_name(WireForm.FLYTE2)) == ("deck.html", "report.html")
