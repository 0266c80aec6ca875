from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airscrew.engine.errors import PermanentError
from airscrew.plugins.qubole.quoting import fill, variables

ATTACK = "x' or '1'='1"


def hive_string(literal: str) -> str:
    """Read a Hive string literal as Hive does, and insist that it is one and nothing more."""
    match = re.fullmatch(r"(['\"])((?:\\.|(?!\1)[^\\])*)\1", literal, re.DOTALL)
    assert match, literal
    return re.sub(r"\\(.)", r"\1", match[2], flags=re.DOTALL)


@given(st.text())
@pytest.mark.parametrize("quote", ["'", '"'])
def test_whatever_an_input_holds_it_stays_in_its_string(quote: str, value: str) -> None:
    query = f"{quote}{{{{ .Inputs.x }}}}{quote}"

    assert hive_string(fill(query, {"{{ .Inputs.x }}": value})) == value


def test_an_input_that_would_inject_is_a_value() -> None:
    filled = fill("select * from t where a = '{{.inputs.x}}'", {"{{.inputs.x}}": ATTACK})

    assert filled == r"select * from t where a = 'x\' or \'1\'=\'1'"


@pytest.mark.parametrize("value", ["7", "-1.5e3", "true", "my_table", "db.my_table"])
def test_numbers_and_names_may_stand_outside_of_quotes(value: str) -> None:
    assert fill("select * from {{.inputs.x}}", {"{{.inputs.x}}": value}) == f"select * from {value}"


@pytest.mark.parametrize(
    "query",
    ["select {{.inputs.x}}", "-- {{.inputs.x}}\nselect 1", "/* {{.inputs.x}} */ select 1", "select 'a' {{.inputs.x}}"],
)
@pytest.mark.parametrize("value", [ATTACK, "1; drop table t", "a b", "", "a\nb", "*/"])
def test_anything_else_outside_of_quotes_is_refused_and_the_input_named(query: str, value: str) -> None:
    with pytest.raises(PermanentError, match=r"input 'x'.*outside of quotes"):
        fill(query, {"{{.inputs.x}}": value})


def test_a_name_in_backticks_cannot_end_them() -> None:
    assert fill("select `{{.inputs.x}}`", {"{{.inputs.x}}": "a` from b"}) == "select `a`` from b`"


def test_quotes_in_comments_and_after_backslashes_are_none() -> None:
    query = r"""-- it's
    select 'it\'s {{.inputs.a}}', {{.inputs.b}} /* don't */, '{{.inputs.c}}'"""

    assert [(one.input, one.inside) for one in variables(query)] == [("a", "'"), ("b", ""), ("c", "'")]


def test_what_the_engine_gives_stands_as_it_is_outside_of_quotes() -> None:
    assert fill("{{ .PerRetryUniqueKey }} x", {"{{ .PerRetryUniqueKey }}": "a-b c"}) == "a-b c x"
