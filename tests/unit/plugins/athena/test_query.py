"""
From flytekit's tasks to Athena's queries.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.literal_maps import literals

from airscrew.engine.errors import PermanentError
from airscrew.idl.template import load_one, make_template
from airscrew.plugins.athena.decide import results_type
from airscrew.plugins.athena.query import Bound, Query, bind, query_of, take_apart

TEMPLATES = Path(__file__).parents[3] / "data" / "templates" / "v1"


def bound(statement: str, **values: Any) -> Bound:
    parts, dialect = take_apart(statement)
    return bind(parts, dialect, literals(**values))


def test_flytekit_s_athena_task_is_read() -> None:
    template = load_one((TEMPLATES / "plugins.athena.pb").read_bytes(), "plugins.athena.pb")

    assert query_of(template) == Query(
        statement="select * from x where ds='{{ .Inputs.ds }}'", workgroup="w", catalog="c", database="d"
    )
    assert results_type(template) == {"schema": {}}


def test_flytekit_s_hive_task_is_read() -> None:
    template = load_one((TEMPLATES / "plugins.hive.pb").read_bytes(), "plugins.hive.pb")

    query = query_of(template)

    assert query.database == "cl"
    assert query.statement.startswith("select 1;")


def test_a_task_without_a_statement_names_the_field() -> None:
    with pytest.raises(PermanentError, match=r"custom\.query\.query is empty"):
        query_of(make_template("hive", custom={"clusterLabel": "cl"}))


def test_inputs_of_a_query_are_bound_as_parameters() -> None:
    query = bound(
        "select * from x where ds='{{ .Inputs.ds }}' and n > {{.inputs.n}} and f < {{.inputs.f}}",
        ds=("2020'; drop table x", str),
        n=(-7, int),
        f=(1.5, float),
    )

    assert query == Bound(
        "select * from x where ds=? and n > ? and f < ?", ["'2020''; drop table x'", "(-7)", "DOUBLE '1.5'"]
    )


def test_a_long_input_is_written_into_the_statement() -> None:
    query = bound("select {{.inputs.s}}", s=("it's" * 500, str))

    assert query == Bound("select '" + "it''s" * 500 + "'")


def test_a_question_mark_of_the_author_s_leaves_no_room_for_parameters() -> None:
    assert bound("select x ? 1, '?', {{.inputs.n}}", n=(7, int)) == Bound("select x ? 1, '?', 7")
    assert bound("select '?', {{.inputs.n}}", n=(7, int)) == Bound("select '?', ?", ["7"])


def test_other_statements_take_literals() -> None:
    assert bound("CREATE TABLE t AS SELECT {{.inputs.s}} x", s=("a", str)) == Bound("CREATE TABLE t AS SELECT 'a' x")


def test_a_statement_whose_quotes_cannot_be_told_takes_no_inputs() -> None:
    with pytest.raises(PermanentError, match="cannot be told for certain"):
        bound("ALTER TABLE t SET LOCATION 'it\\'s {{.inputs.s}}'", s=("a", str))


def test_times_lists_bytes_and_nothing_have_their_literals() -> None:
    when = datetime(2024, 5, 6, 7, 8, 9, 10, UTC)
    query = bound(
        "select {{.inputs.t}}, {{.inputs.d}}, {{.inputs.l}}, {{.inputs.b}}",
        t=(when.isoformat(), datetime),
        d=("90s", timedelta),
        l=(["a'b", "c"], list[str]),
        b=(True, bool),
    )

    assert query.parameters == [
        "TIMESTAMP '2024-05-06 07:08:09.000010 UTC'",
        "(INTERVAL '1' SECOND * DOUBLE '90.0')",
        "ARRAY['a''b', 'c']",
        "TRUE",
    ]


def test_what_has_no_form_in_sql_is_named() -> None:
    with pytest.raises(PermanentError, match="input 'm' is a dict"):
        bound("select {{.inputs.m}}", m=({"a": 1}, dict[str, int]))


@pytest.mark.parametrize(("outputs", "told"), [({"o0": int}, "declares o0"), ({"results": int}, "must be a schema")])
def test_outputs_that_no_query_has_are_refused(outputs: dict[str, type], told: str) -> None:
    with pytest.raises(PermanentError, match=told):
        results_type(make_template("presto", outputs=outputs))
