"""
From flytekit's tasks to Trino's statements.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.literal_maps import literals

from airscrew.engine.errors import PermanentError
from airscrew.idl.template import load_one
from airscrew.plugins.sql_text import TRINO, scan
from airscrew.plugins.trino.config import Results
from airscrew.plugins.trino.statement import Query, bind, dropping, query_of, table_of, written_to

TEMPLATES = Path(__file__).parents[3] / "data" / "templates" / "v1"
EVIL = "x'; DROP TABLE t; -- \\' \" */ /* {{.inputs.n}}"


def bound(statement: str, **values: Any) -> str:
    return bind(scan(statement, TRINO), literals(**values))


def test_flytekit_s_hive_task_is_read() -> None:
    template = load_one((TEMPLATES / "plugins.hive.pb").read_bytes(), "plugins.hive.pb")

    query = query_of(template)

    assert query.statement
    assert query.routing_group == template.custom.get("clusterLabel", "")


def test_flytekit_s_presto_task_is_read() -> None:
    template = load_one((TEMPLATES / "plugins.athena.pb").read_bytes(), "plugins.athena.pb")

    assert query_of(template) == Query(
        statement="select * from x where ds='{{ .Inputs.ds }}'", routing_group="w", catalog="c", schema="d"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT {{.inputs.s}}",
        "SELECT * FROM t WHERE a = '{{.inputs.s}}'",
        "INSERT INTO t VALUES ({{.inputs.s}})",
        "CREATE TABLE u AS SELECT {{.inputs.s}} -- the end",
    ],
)
def test_an_input_in_code_is_one_literal_that_holds_it_all(statement: str) -> None:
    made = bound(statement, s=(EVIL, str))

    assert literals_of(made) == [EVIL]
    assert made.replace("'" + EVIL.replace("'", "''") + "'", "?") == statement.replace("'", "").replace(
        "{{.inputs.s}}", "?"
    )


def test_an_input_in_quotes_of_the_author_s_stays_within_them() -> None:
    made = bound("""SELECT 'a{{.inputs.s}}b', "{{.inputs.s}}", 'c'""", s=(EVIL, str))

    assert literals_of(made) == [f"a{EVIL}b", "c"]


@pytest.mark.parametrize("statement", ["SELECT 'c' -- {{.inputs.s}}\n, 'd'", "SELECT 'c' /* {{.inputs.s}} */, 'd'"])
def test_an_input_in_a_comment_does_not_end_it(statement: str) -> None:
    made = bound(statement, s=(EVIL + "\n, 'e'", str))

    assert literals_of(made) == ["c", "d"]


def literals_of(statement: str) -> list[str]:
    """Read the strings of a statement as Trino's grammar has them, outside of identifiers and comments."""
    found, at = [], 0
    while at < len(statement):
        if statement.startswith("--", at):
            at = len(statement[:at]) + len(statement[at:].split("\n", maxsplit=1)[0])
        elif statement.startswith("/*", at):
            at = statement.index("*/", at) + 2
        elif statement[at] in "'\"":
            quote, text, at = statement[at], "", at + 1
            while statement[at] != quote or statement[at : at + 2] == quote * 2:
                at, text = (at + 2, text + quote) if statement[at] == quote else (at + 1, text + statement[at])
            at += 1
            if quote == "'":
                found.append(text)
        else:
            at += 1
    return found


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (7, int, "7"),
        (-7, int, "(-7)"),
        (1.5, float, "DOUBLE '1.5'"),
        (True, bool, "TRUE"),
        ([1, 2], list[int], "ARRAY[1, 2]"),
        (datetime(2024, 5, 6, 7, 8, 9, 10, UTC).isoformat(), datetime, "TIMESTAMP '2024-05-06 07:08:09.000010 UTC'"),
    ],
)
def test_a_value_is_written_as_trino_has_it(value: object, kind: type, expected: str) -> None:
    assert bound("SELECT {{.inputs.v}}", v=(value, kind)) == f"SELECT {expected}"


def test_the_semicolon_at_the_end_is_left_out_and_one_in_a_string_is_not() -> None:
    assert bound("SELECT ';' ;\n") == "SELECT ';'"


RESULTS = Results(catalog="hive", schema='odd"one')


def test_the_results_of_a_query_are_written_by_a_table_of_the_attempt_s_own() -> None:
    table = table_of("WITH x AS (SELECT 1) SELECT * FROM x", scan("WITH x", TRINO), RESULTS, "a-b")

    assert table == '"hive"."odd""one"."airscrew_a_b"'
    assert written_to("SELECT 1 -- end", table, "s3://b/it's", "ORC") == (
        f"CREATE TABLE {table} WITH (external_location = 's3://b/it''s', format = 'ORC') AS\nSELECT 1 -- end"
    )
    assert dropping(table) == f"DROP TABLE IF EXISTS {table}"


def test_a_statement_that_writes_its_results_itself_is_left_alone() -> None:
    statement = "CREATE TABLE t WITH (external_location = '{{ .RawOutputDataPrefix }}') AS SELECT 1"

    assert table_of(statement, scan(statement, TRINO), None, "k") == ""


@pytest.mark.parametrize("statement", ["INSERT INTO t SELECT 1", "SHOW TABLES"])
def test_results_that_nothing_would_write_are_refused(statement: str) -> None:
    with pytest.raises(PermanentError, match="nothing writes them"):
        table_of(statement, scan(statement, TRINO), RESULTS, "k")
