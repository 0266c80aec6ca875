from __future__ import annotations

import pytest

from airscrew.plugins.http_job.bodies import MissingValueError, fill, foreign_variables

VALUES = {"inputs": {"n": 3, "t": "hi", "l": [1, 2]}, "custom": {"deep": {"x": True}}, "key": "abc"}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{{.inputs.n}}", 3),
        ("{{ $inputs.l }}", [1, 2]),
        ("n={{.inputs.n}} t={{.inputs.t}} x={{.custom.deep.x}}", "n=3 t=hi x=true"),
        ("{{.inputs}}", {"n": 3, "t": "hi", "l": [1, 2]}),
        ({"a": ["{{.key}}", 1, None, {"b": "{{.custom.deep}}"}]}, {"a": ["abc", 1, None, {"b": {"x": True}}]}),
        ("plain {not} a variable", "plain {not} a variable"),
        ({}, {}),
        ([], []),
    ],
)
def test_variables_are_filled_in_with_their_types(template: object, filled: object) -> None:
    assert fill(template, VALUES, {}) == filled


def test_an_optional_variable_that_is_missing_takes_its_member_along() -> None:
    template = {"a": "{{.inputs.gone?}}", "b": ["{{.inputs.gone?}}", 1], "c": "x{{.inputs.gone?}}y"}

    assert fill(template, VALUES, {}) == {"b": [1], "c": "xy"}


@pytest.mark.parametrize("template", ["{{.inputs.gone}}", "a {{.custom.deep.x.y}} b", {"a": ["{{.inputs.gone}}"]}])
def test_a_missing_variable_is_an_error_that_names_it(template: object) -> None:
    with pytest.raises(MissingValueError, match=r"inputs\.gone|custom\.deep\.x\.y"):
        fill(template, VALUES, {})


def test_variables_of_the_engine_are_listed_once_and_filled_in_as_text() -> None:
    template = {"to": "{{.outputPrefix}}/x", "again": "{{.outputPrefix}}", "mine": "{{.key}}"}

    assert foreign_variables(template) == ["{{.outputPrefix}}"]
    assert fill(template, VALUES, {"{{.outputPrefix}}": "s3://b"}) == {
        "to": "s3://b/x",
        "again": "s3://b",
        "mine": "abc",
    }


def test_what_is_put_in_is_never_read_as_a_template() -> None:
    values = {"inputs": {"evil": "{{.key}} {{.outputPrefix}}"}, "key": "secret"}

    filled = fill("<{{.inputs.evil}}>", values, {"{{.outputPrefix}}": "s3://b"})

    assert filled == "<{{.key}} {{.outputPrefix}}>"


def test_a_template_is_left_as_it_is() -> None:
    template = {"a": ["{{.key}}"]}

    fill(template, VALUES, {})

    assert template == {"a": ["{{.key}}"]}
