"""Settings: where they come from, and what is said of what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from airscrew.engine.config import EngineSettings, Quota, default_home, load_settings
from airscrew.idl.errors import UsageError


def load(tmp_path: Path, text: str = "", *, name: str = "c.yaml", **variables: str) -> EngineSettings:
    file = tmp_path / name
    file.write_text(text)
    return load_settings(config=file, environment={"HOME": str(tmp_path), **variables})


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings(environment={"HOME": str(tmp_path)})

    assert settings.home == str(tmp_path / ".local/state/airscrew")
    assert settings.store_url == f"sqlite:{tmp_path}/.local/state/airscrew/state.db"
    assert settings.data_uri == f"file://{tmp_path}/.local/state/airscrew/data"
    assert (settings.retries.system, settings.retention.finished_age) == (3, 7 * 86400.0)


def test_the_home_is_in_the_xdg_state_folder() -> None:
    assert default_home({"HOME": "/h", "XDG_STATE_HOME": "/s"}) == Path("/s/airscrew")


def test_a_file_sets_keys_at_every_depth(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "home: /h\nretention: {finished_age: 2d, keep: 5}\nexecutors: {http_job: {services: [a]}}\n"
        "default_for_task_types: {python-task: process}\nenabled_executors: [echo]\nkill_deadline: 90\n",
    )

    assert (settings.retention.finished_age, settings.retention.keep, settings.kill_deadline) == (172800.0, 5, 90.0)
    assert settings.executors == {"http_job": {"services": ["a"]}}
    assert settings.default_for_task_types == {"python-task": "process"}
    assert settings.enabled_executors == ("echo",)


def test_quotas_are_read_by_the_names_of_their_pools(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "quotas:\n  hive: {limit: 10, executors: [athena], namespace: 3, namespaces: {big: 8}}\n  open: {limit: 0}\n",
    )

    assert settings.quotas == {
        "hive": Quota(limit=10, executors=("athena",), namespace=3, namespaces={"big": 8}),
        "open": Quota(limit=0),
    }


def test_json_is_read_too(tmp_path: Path) -> None:
    assert load(tmp_path, '{"workers": 3}', name="c.json").workers == 3


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "# nothing\n").workers == 64


def test_the_environment_is_over_the_file_key_by_key(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "home: /h\nretention: {finished_age: 2d, keep: 5}\n",
        AIRSCREW_HOME="/e",
        AIRSCREW_RETENTION_KEEP="9",
        AIRSCREW_PROCESS_EXECUTOR="no",
        AIRSCREW_ENABLED_EXECUTORS="echo, noop",
        AIRSCREW_TIMEOUTS_TOTAL="90m",
        AIRSCREW_SOMETHING_ELSE="x",
    )

    assert (settings.home, settings.retention.finished_age, settings.retention.keep) == ("/e", 172800.0, 9)
    assert (settings.process_executor, settings.enabled_executors) == (False, ("echo", "noop"))
    assert settings.timeouts.total == 5400.0


def test_the_command_line_is_over_all(tmp_path: Path) -> None:
    settings = load_settings(
        environment={"HOME": "/x", "AIRSCREW_HOME": "/e"}, overrides={"home": str(tmp_path), "listen": None}
    )

    assert (settings.home, settings.listen) == (str(tmp_path), "")


def test_the_users_own_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / ".config/airscrew/config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("workers: 7\n")

    assert load_settings(environment={"HOME": str(tmp_path)}).workers == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hom: /h", "unknown key 'hom'; did you mean 'home'?"),
        ("retention: {keap: 1}", "unknown key 'retention.keap'; did you mean 'keep'?"),
        ("retention: {zzz: 1}", "unknown key 'retention.zzz': one of finished_age, keep"),
        ("workers: many", "workers: expected int, got str"),
        ("retention: {finished_age: soon}", "retention.finished_age: expected seconds, or a duration as 90s"),
        ("enabled_executors: echo", "enabled_executors: expected array"),
        ("workers: 0", "workers must be 1 or more"),
        ("timeouts: {total: -1}", "timeouts.total is -1: it must be 0 or more"),
        ("secrets: {providers: [vault]}", "secrets.providers: 'vault' is not known: one of env, file"),
        ("- a\n- b", "must hold keys and values"),
        ("a: [", "is not YAML"),
        ("workers: 2001-99-99", "is not YAML"),
        ("workers: 0b_", "is not YAML"),
        ("home: !!timestamp x", "is not YAML"),
        ("[" * 1200, "is not YAML"),
        ("retention: {5: 1}", "unknown key 'retention.5'"),
        ("home: ~no-such-user/x", "home '~no-such-user/x': there is no such user"),
        ("home: {a: b}", "home: expected str, got object"),
        ("kill_deadline: .nan", "kill_deadline is nan: it must be a number"),
        ("timeouts: {total: .inf}", "timeouts.total is inf: it must be a number"),
        ('log: {format: "\\0"}', "log.format holds a character that no text can hold"),
        ('store: "\\ud800"', "holds a character that no text can hold"),
        ('quotas: {"a\\nb": {limit: 1}}', "quotas.a\\nb: a name is of a-z"),
        ("quotas: {hive: {limit: 2, namespac: 1}}", "unknown key 'quotas.hive.namespac'; did you mean 'namespace'?"),
        ("quotas: {hive: {executors: [a]}}", "quotas.hive: object missing required field limit"),
        ("quotas: {hive: {limit: -1}}", "quotas.hive.limit is -1: it must be 0 or more"),
        ("quotas: {hive: {limit: 5, namespaces: {a: -2}}}", "quotas.hive.namespaces.a is -2: it must be 0 or more"),
        ("quotas: {hive: {limit: many}}", "quotas.hive.limit: expected int, got str"),
        ("quotas: {hive: 5}", "quotas.hive: expected object, got int"),
        ("quotas: {Hive/x: {limit: 5}}", "quotas.Hive/x: a name is of a-z"),
        (
            "quotas: {a: {limit: 1, executors: [x]}, b: {limit: 1, executors: [x]}}",
            "executor 'x' is in quotas.a and quotas.b: it can be in one",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)

    assert said in str(caught.value)
    assert "c.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AIRSCREW_WORKERS", "many", "AIRSCREW_WORKERS is 'many': it must be a whole number"),
        ("AIRSCREW_WORKERS", "--5", "AIRSCREW_WORKERS is '--5': it must be a whole number"),
        ("AIRSCREW_WORKERS", "²", "AIRSCREW_WORKERS is '²': it must be a whole number"),
        ("AIRSCREW_PROCESS_EXECUTOR", "maybe", "it must be true or false"),
        ("AIRSCREW_KILL_DEADLINE", "soon", "it must be seconds, or a duration"),
    ],
)
def test_what_is_wrong_in_the_environment_names_the_variable(variable: str, value: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_settings(environment={"HOME": "/h", variable: value})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml cannot be read"):
        load_settings(config=tmp_path / "none.yaml", environment={"HOME": str(tmp_path)})
