"""
What a task finds in its environment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from airscrew.engine.errors import PermanentError
from airscrew.idl.errors import UsageError
from airscrew.idl.template import SecretRef
from airscrew.plugins.process.config import Config, read_config, slots
from airscrew.plugins.process.environment import find_executable, task_environment
from airscrew.plugins.process.secrets import variables
from airscrew.plugins.process.state import Place

SCRIPTS = str(Path(sys.executable).parent)
PLACE = Place("/work/.airscrew", "akey")


def make(
    config: Config | None = None, *, own: dict[str, str] | None = None, **layers: dict[str, str]
) -> dict[str, str]:
    attempt, container = layers.get("attempt", {}), layers.get("container", {})
    return task_environment(config or Config(), own or {}, attempt, container, place=PLACE, temporary="/tmp/x")


def test_nothing_of_the_engines_environment_passes_that_is_not_named() -> None:
    env = make(own={"HOME": "/h", "LC_TIME": "C", "AWS_REGION": "eu", "ETCD_PASSWORD": "secret"})

    assert set(env) >= {"HOME", "LC_TIME", "AWS_REGION"}
    assert "ETCD_PASSWORD" not in env


def test_what_is_nearer_to_the_task_wins_but_for_what_is_the_attempts_own() -> None:
    config = Config(environment={"A": "config", "B": "config", "C": "config"}, inherit=("*",))

    env = make(
        config,
        own=dict.fromkeys("ABCD", "own"),
        attempt={"B": "attempt", "C": "attempt"},
        container={"C": "container", "TMPDIR": "/elsewhere", "PYTHONUNBUFFERED": ""},
    )

    assert [env[name] for name in "ABCD"] == ["config", "attempt", "container", "own"]
    assert (env["TMPDIR"], env["PYTHONUNBUFFERED"]) == ("/tmp/x", "")
    assert (env["AIRSCREW_KEY"], env["AIRSCREW_ATTEMPT"]) == ("akey", "/work/.airscrew")


def test_search_paths_are_joined_and_begin_with_what_is_configured() -> None:
    config = Config(path=("/first",), python_path=("/code",))

    env = make(
        config, own={"PATH": f"/usr/bin:{SCRIPTS}"}, attempt={"PYTHONPATH": "/a"}, container={"PYTHONPATH": "/c:/a"}
    )

    assert env["PATH"] == os.pathsep.join(["/first", SCRIPTS, "/usr/bin"])
    assert env["PYTHONPATH"] == "/code:/c:/a"


def test_a_command_is_found_on_the_tasks_own_path(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)

    assert find_executable("tool", {"PATH": str(tmp_path)}, "/") == str(tmp_path / "tool")
    assert find_executable("./tool", {"PATH": ""}, str(tmp_path)) == str(tmp_path / "tool")
    with pytest.raises(PermanentError, match="command 'tool' was not found"):
        find_executable("tool", {"PATH": "/nowhere"}, "/")


@pytest.mark.parametrize(
    ("secret", "names"),
    [
        (SecretRef(group="grp", key="k1"), ["_FSEC_GRP_K1"]),
        (SecretRef(key="k1"), ["_FSEC_K1"]),
        (SecretRef(group="g", key="k", version="v2"), ["_FSEC_G_K", "_FSEC_G_V2_K"]),
        (SecretRef(group="g", key="k", env_var="TOKEN"), ["TOKEN", "_FSEC_G_K"]),
    ],
)
def test_a_secret_is_in_the_variables_that_flytekit_looks_at(secret: SecretRef, names: list[str]) -> None:
    assert variables(secret) == names


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"slots": 0}, "executors.process.slots: is 0"),
        ({"grace": -1}, "executors.process.grace: is -1"),
        ({"slotz": 1}, "executors.process: Object contains unknown field `slotz`"),
        ({"rlimits": {"nofiles": 1}}, "executors.process.rlimits: 'nofiles' is no limit of this system: use one of as"),
        ({"rlimits": {"core": -1}}, "executors.process.rlimits.core: is -1"),
        ({"log_limit_bytes": 0}, "executors.process.log_limit_bytes: is 0"),
    ],
)
def test_a_bad_configuration_is_one_line_that_names_the_key(raw: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_config(raw)

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_as_many_run_at_once_as_there_are_cores() -> None:
    assert slots(Config()) == len(os.sched_getaffinity(0))
    assert slots(Config(slots=3)) == 3
