from __future__ import annotations

from tests.unit.engine.data.make import EXECUTION, key, locations

from airscrew.engine.data.environment import ProcessIdentity, make_environment
from airscrew.idl.wire import WireForm

TASK = {"project": "p", "domain": "d", "name": "mod.fn", "version": "v1"}


def identity(wire: WireForm = WireForm.FLYTE1, base: str = "s3://b", **fields: object) -> ProcessIdentity:
    given: dict[str, object] = {"task_id": TASK, **fields}
    return ProcessIdentity(
        execution=EXECUTION,
        attempt=2,
        key=key(2),
        wire=wire,
        locations=locations(base, 2, wire),
        **given,  # type: ignore[arg-type]
    )


def test_a_flyte_1_task_is_told_what_it_belongs_to() -> None:
    environment = make_environment(identity(execution_url="http://here/1"), {})

    assert environment.items() >= {
        ("FLYTE_ATTEMPT_NUMBER", "2"),
        ("FLYTE_EXECUTION_URL", "http://here/1"),
        ("FLYTE_INTERNAL_EXECUTION_ID", "hello"),
        ("FLYTE_INTERNAL_EXECUTION_PROJECT", "p"),
        ("FLYTE_INTERNAL_EXECUTION_DOMAIN", "d"),
        ("FLYTE_INTERNAL_EXECUTION_WORKFLOW", "mod.fn"),
        ("FLYTE_INTERNAL_TASK_PROJECT", "p"),
        ("FLYTE_INTERNAL_TASK_DOMAIN", "d"),
        ("FLYTE_INTERNAL_TASK_NAME", "mod.fn"),
        ("FLYTE_INTERNAL_TASK_VERSION", "v1"),
    }


def test_a_flyte_2_task_has_all_that_it_refuses_to_run_without() -> None:
    environment = make_environment(identity(WireForm.FLYTE2, task_id={}), {})

    needed = ["ACTION_NAME", "RUN_NAME", "_U_RUN_BASE", "_U_ORG_NAME", "_U_EP_OVERRIDE", "_U_INSECURE"]
    assert all(environment[name] for name in needed)
    assert environment["_U_RUN_BASE"] == "s3://b/team/hello-01234567"
    assert environment["FLYTE_INTERNAL_EXECUTION_PROJECT"] == "team"
    assert environment["FLYTE_INTERNAL_EXECUTION_DOMAIN"] == "development"


def test_a_flyte_2_task_on_this_machine_makes_its_folders() -> None:
    local = make_environment(identity(WireForm.FLYTE2, "file:///with%20space"), {})
    remote = make_environment(identity(WireForm.FLYTE2), {})

    assert local["FSSPEC_FILE_AUTO_MKDIR"] == "1"
    assert local["_U_RUN_BASE"] == "/with space/team/hello-01234567"
    assert "FSSPEC_FILE_AUTO_MKDIR" not in remote


def test_what_was_submitted_is_kept_but_for_the_identity() -> None:
    submitted = {"MINE": "1", "FSSPEC_FILE_AUTO_MKDIR": "0", "FLYTE_ATTEMPT_NUMBER": "99"}

    environment = make_environment(identity(WireForm.FLYTE2, "/b"), submitted)

    assert (environment["MINE"], environment["FSSPEC_FILE_AUTO_MKDIR"]) == ("1", "0")
    assert environment["FLYTE_ATTEMPT_NUMBER"] == "2"


def test_a_control_plane_over_https_is_a_secure_one() -> None:
    plain = make_environment(identity(WireForm.FLYTE2, endpoint="127.0.0.1:8090"), {})
    secure = make_environment(identity(WireForm.FLYTE2, endpoint="https://flyte.example"), {})

    assert (plain["_U_EP_OVERRIDE"], plain["_U_INSECURE"]) == ("127.0.0.1:8090", "true")
    assert (secure["_U_EP_OVERRIDE"], secure["_U_INSECURE"]) == ("https://flyte.example", "false")
