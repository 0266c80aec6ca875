"""
Whatever bytes come, the loader gives what it found or one UsageError of one line.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from airscrew.idl.errors import UsageError
from airscrew.idl.template import Loaded, load_templates
from airscrew.idl.wire import WireForm

TEMPLATES = Path(__file__).parents[2] / "data" / "templates"
FILES = ("v1/basic.raw_pod.pb", "v2/full.pb", "v1/basic.wf.pb", "v1/plugins.bq.pb", "v1/basic.add.json")
REAL = [(TEMPLATES / name).read_bytes() for name in FILES]
NAMES = st.sampled_from(["", "x.pb", "x.json", "x.yaml", "x.tgz", "x"])
EVERY = settings(max_examples=150, deadline=None)


def outcome(data: bytes, name: str) -> None:
    problem = ""
    loaded = Loaded()
    try:
        loaded = load_templates(data, name)
    except UsageError as error:
        problem = str(error)
    assert "\n" not in problem
    assert len(problem) < 2_000
    assert problem or loaded.templates or loaded.skipped
    for one in loaded.templates:
        assert one.template.type
        assert one.template.name
        assert one.template.wire in WireForm


@EVERY
@given(st.binary(max_size=200), NAMES)
def test_any_bytes_give_templates_or_a_usage_error(data, name):
    outcome(data, name)


@EVERY
@given(st.sampled_from(REAL), st.data(), NAMES)
def test_a_template_with_damaged_bytes_gives_templates_or_a_usage_error(real, data, name):
    damaged = bytearray(real)
    for place in data.draw(st.lists(st.integers(0, len(real) - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))

    outcome(bytes(damaged), name)


@EVERY
@given(st.sampled_from(REAL), st.integers(0, 4000), st.integers(0, 4000), NAMES)
def test_a_piece_of_a_template_gives_templates_or_a_usage_error(real, start, length, name):
    outcome(real[start : start + length], name)


@EVERY
@given(st.text(max_size=200), NAMES)
def test_any_text_gives_templates_or_a_usage_error(text, name):
    outcome(text.encode("utf-8", "surrogatepass"), name)


TEMPLATE_KEYS = ["type", "id", "name", "interface", "inputs", "variables", "custom", "sql", "container", "metadata"]
KEYS = st.sampled_from([*TEMPLATE_KEYS, "template", "taskTemplate", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@EVERY
@given(st.dictionaries(KEYS, JSON, max_size=5), NAMES)
def test_any_json_gives_templates_or_a_usage_error(tree, name):
    outcome(json.dumps(tree).encode("utf-8", "surrogatepass"), name)


@EVERY
@given(st.binary(max_size=600), NAMES)
def test_any_gzip_gives_templates_or_a_usage_error(data, name):
    outcome(gzip.compress(data), name)


@EVERY
@given(st.binary(max_size=100), NAMES)
def test_anything_that_begins_as_gzip_gives_a_usage_error(data, name):
    outcome(b"\x1f\x8b" + data, name)


def test_deep_nesting_gives_a_usage_error():
    for text in (b"[" * 100_000, b'{"type":' * 50_000, b"type: x\nid: " + b"{a: " * 5_000, b"\x0a\x7f" * 50_000):
        outcome(text, "")
        outcome(text, "x.yaml")
