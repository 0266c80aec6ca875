"""
The inputs of a connector's SQL become parameters of the vendor's own client, and never SQL.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.support.literal_maps import literals

from airscrew.engine.errors import PermanentError
from airscrew.plugins.connector.statements import BINDINGS, bound
from airscrew.plugins.sql_text import scan

WORDS = "O'Brien \\ 100%"


def snowflake(statement: str, text: str = WORDS) -> str:
    binding = BINDINGS["snowflake"]
    given = literals(x=(text, str), n=(3, int), t=(datetime(2026, 1, 2, tzinfo=UTC), datetime))
    return bound(binding, scan(statement, binding.dialect), given)


@pytest.mark.parametrize(
    ("statement", "made"),
    [
        ("select * from t where a < {{.inputs.n}}", "select * from t where a < %(n)s"),
        ("select * from t where a < {{ .Inputs.t }}", "select * from t where a < %(t)s"),
        ("select * from t where a = '{{.inputs.x}}'", "select * from t where a = %(x)s"),
        ("select * from t where a = '{{.inputs.n}}'", "select * from t where a = '3'"),
        ("select * from t where a like '%' and b = {{.inputs.n}}", "select * from t where a like '%%' and b = %(n)s"),
        ("select * from t where a like '%%' and b = {{.inputs.n}} + %(n)s",
         "select * from t where a like '%%' and b = %(n)s + %(n)s"),
        ("select * from t where a like 'z{{.inputs.x}}%'", r"select * from t where a like 'zO\'Brien \\ 100%%%%'"),
        ("select 'it\\'s {{.inputs.n}}' -- {{.inputs.x}}", "select 'it\\'s 3' -- O_Brien _ 100__"),
        ("select a // {{.inputs.x}}\n + {{.inputs.n}}", "select a // O_Brien _ 100__\n + %(n)s"),
        ('select * from "t{{.inputs.n}}"', 'select * from "t3"'),
    ],
)  # fmt: skip
def test_an_input_becomes_a_parameter_of_snowflakes_client(statement: str, made: str) -> None:
    assert snowflake(statement) == made


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("select {{.inputs.gone}}", "refers to input 'gone', which the task does not have"),
        ('select * from "t{{.inputs.x}}"', "input 'x' holds a quote"),
        ("select $$ {{.inputs.x}} $$", "input 'x' stands between"),
        ('select "a\\" , {{.inputs.x}}', "backslash within a quoted name"),
        ("select $$ \\$$ , {{.inputs.n}}", "backslash within a quoted name"),
    ],
)
def test_an_input_that_could_become_code_is_refused_by_name(statement: str, words: str) -> None:
    with pytest.raises(PermanentError, match=words.replace("$", r"\$")):
        snowflake(statement)


def test_an_input_becomes_a_named_parameter_of_bigquerys() -> None:
    binding = BINDINGS["bigquery_query_job_task"]
    statement = "select * from t where a = {{.inputs.x}} and b like '100%' and c = '{{ .inputs.x }}'"

    made = bound(binding, scan(statement, binding.dialect), literals(x=(WORDS, str)))

    assert made == "select * from t where a = @x and b like '100%' and c = @x"
