from __future__ import annotations

import pytest

from airscrew.plugins.http_job.paths import look_up, number_at, parse_path, text_at

JOB = {"a": {"b": [{"c": 1}, "two"]}, "odd name": True, "none": None, "n": 2.5}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", JOB),
        ("$.a.b[0].c", 1),
        ("a.b[1]", "two"),
        ('$["odd name"]', True),
        ("$['odd name']", True),
        ("$.a.b[2]", None),
        ("$.a.x.y", None),
        ("$.n[0]", None),
        ("$.none", None),
        ("", None),
    ],
)
def test_a_path_leads_to_a_value_or_nowhere(path: str, found: object) -> None:
    assert look_up(JOB, path) == found


@pytest.mark.parametrize("path", ["$.a..b", "$[x]", "$.a[", "a b", "$.", "$[-1]"])
def test_a_path_that_cannot_be_read_is_an_error_that_shows_it(path: str) -> None:
    with pytest.raises(ValueError, match="is no JSON path"):
        parse_path(path)


def test_values_can_be_had_as_text() -> None:
    assert [text_at(JOB, path) for path in ("$.a.b[1]", "$.n", "$.none", "$.x")] == ["two", "2.5", "", ""]


def test_values_can_be_had_as_numbers() -> None:
    assert [number_at(JOB, path) for path in ("$.n", "$.a", '$["odd name"]', "")] == [2.5, 0, 0, 0]
