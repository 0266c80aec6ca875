"""Configuration files: settings, or one line that names the file; whatever is in it."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import msgspec
import yaml
from hypothesis import strategies as st
from tests.fuzz.mutations import spoilt_bytes, spoilt_trees, weighted
from tests.fuzz.target import Target

from airscrew.engine.config import EngineSettings, load_settings
from airscrew.idl.errors import UsageError

TREES = (
    {
        "home": "/h",
        "retention": {"finished_age": "2d", "keep": 5},
        "executors": {"http_job": {"services": ["a"]}, "pod": {"namespace": "team"}},
        "default_for_task_types": {"python-task": "process"},
        "enabled_executors": ["echo", "pod"],
        "kill_deadline": 90,
        "process_executor": True,
    },
    {
        "store": "etcd://127.0.0.1:2379/airscrew",
        "quotas": {"hive": {"limit": 10, "executors": ["athena"], "namespace": 3, "namespaces": {"big": 8}}},
        "timeouts": {"queued": "90s", "attempt": "1h30m", "total": 0.5},
        "retries": {"system": 3, "check_failures": 10},
        "secrets": {"providers": ["env", "file"], "env_prefix": "A_", "directory": "/s"},
        "workers": 8,
        "lease_seconds": 15,
    },
    {
        "listen": "127.0.0.1:8787",
        "api": {"certificate": "/c", "key": "/k", "client_ca": "/ca", "connector_types": ["a/1"]},
        "health": {"address": "127.0.0.1:9"},
        "log": {"format": "json", "level": "info"},
        "token_file": "/t",
        "drain_seconds": "30s",
    },
)


def as_yaml(tree: object) -> bytes:
    return yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "replace")


def as_json(tree: object) -> bytes:
    return json.dumps(tree).encode()


WORDS = (
    b"2001-99-99",
    b"0b_",
    b"0x_",
    b"!!python/object:os.system {}",
    b"!!binary x",
    b"&a [*a]",
    b"? [a]\n: b",
    b"1:99",
    b"!!int",
    b"!!bool x",
    b"!!timestamp x",
    b"~nobody/x",
    b".nan",
    b".inf",
    b'"\\ud800"',
    b'"\\0"',
)
SNIPPETS = st.builds(
    lambda key, word: f"{key}: ".encode() + word + b"\n",
    st.sampled_from(["home", "workers", "kill_deadline", "retention", "executors", "quotas", "~", "5", "{5: 1}"]),
    st.sampled_from(WORDS) | st.text(max_size=12).map(lambda text: text.encode("utf-8", "replace")),
)
DEEP = st.sampled_from([b"[" * 1_200, b"home: " + b"{a: " * 1_200, b'{"a":' * 3_000])
SEEDS = [as_yaml(tree) for tree in TREES] + [as_json(tree) for tree in TREES]
INPUTS = weighted(
    (20, spoilt_trees(TREES, as_yaml)),
    (20, spoilt_trees(TREES, as_json)),
    (20, spoilt_bytes(SEEDS)),
    (20, SNIPPETS),
    (1, DEEP),
)


def check(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="airscrew-fuzz-") as folder:
        for name in ("config.yaml", "config.json"):
            file = Path(folder) / name
            file.write_bytes(data)
            see_settings_or_line(file, folder)


def see_settings_or_line(file: Path, home: str) -> None:
    try:
        settings = load_settings(config=file, environment={"HOME": home})
    except UsageError as error:
        said = str(error)
        assert str(file) in said, said
        assert "\n" not in said, said
        assert len(said) < 8000, len(said)
        return
    assert isinstance(settings, EngineSettings)
    msgspec.convert(msgspec.to_builtins(settings), EngineSettings)
    assert "\0" not in settings.home
    for number in numbers(msgspec.to_builtins(settings)):
        assert math.isfinite(number), settings


def numbers(tree: object) -> list[float]:
    """Every number but those of the executors' own parts."""
    if isinstance(tree, dict):
        return [one for key, inner in tree.items() if key != "executors" for one in numbers(inner)]
    return [float(tree)] if isinstance(tree, int | float) else []


TARGET = Target(name="configs", inputs=INPUTS, check=check, examples=400)


@TARGET.fuzzed
def test_any_file_gives_settings_or_a_line_that_names_it(data: bytes) -> None:
    check(data)
