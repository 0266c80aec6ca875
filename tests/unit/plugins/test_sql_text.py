"""
Inputs in SQL text never become SQL.
"""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airscrew.engine.errors import PermanentError
from airscrew.plugins.sql_text import BIGQUERY, TRINO, UNCERTAIN, Dialect, Slot, fill, first_word, scan, trino_string

NASTY = "x'; DROP TABLE t; --\n\\' \" ` */ {{.inputs.x}} ?"


def filled(statement: str, text: str, dialect: Dialect = TRINO) -> str:
    return fill(scan(statement, dialect), {"x": text}, lambda _, form: trino_string(text) + form[:0], dialect)


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
@pytest.mark.parametrize(
    "statement", ["SELECT {{.inputs.x}}", "SELECT '{{ .Inputs.x }}'", "SELECT * FROM (SELECT 'a{{.inputs.x}}z')"]
)
def test_a_real_engine_reads_back_what_was_put_in(statement: str, text: str) -> None:
    ((read,),) = sqlite3.connect(":memory:").execute(filled(statement, text))

    assert read in {text, f"a{text}z"}


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
def test_what_stands_in_a_comment_does_not_leave_it(text: str) -> None:
    for statement in ("SELECT 1 -- {{.inputs.x}}\n", "SELECT 1 /* {{.inputs.x}} */"):
        ((read,),) = sqlite3.connect(":memory:").execute(filled(statement, text))

        assert read == 1


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1))
def test_an_identifier_stays_one(text: str) -> None:
    names = sqlite3.connect(":memory:").execute(filled('SELECT 1 AS "{{.inputs.x}}"', text)).description

    assert names[0][0] == text


def test_an_input_that_is_all_of_a_string_after_an_operator_is_a_value() -> None:
    (slot,) = (part for part in scan("where ds = '{{ .Inputs.ds }}'", TRINO) if isinstance(part, Slot))

    assert (slot.name, slot.place, slot.quote) == ("ds", "code", "text")


@pytest.mark.parametrize(
    "statement", ["DATE '{{.inputs.x}}'", "= 'a''{{.inputs.x}}'", "= '{{.inputs.x}}''a'", "x LIKE '%{{.inputs.x}}'"]
)
def test_an_input_that_is_part_of_a_string_stays_in_it(statement: str) -> None:
    (slot,) = (part for part in scan(statement, TRINO) if isinstance(part, Slot))

    assert slot.place == "string"


@pytest.mark.parametrize("text", ["it's", 'a"b', "a\\b", "a`b", "a\nb", "a\0b"])
def test_a_grammar_that_is_not_known_takes_no_risky_text(text: str) -> None:
    with pytest.raises(PermanentError, match="input 'x' holds a quote"):
        filled("ALTER TABLE t ADD PARTITION (ds='{{.inputs.x}}z')", text, UNCERTAIN)


def test_bigquery_escapes_by_backslashes() -> None:
    assert filled("SELECT 'a{{.inputs.x}}'", "it's \\ \n", BIGQUERY) == "SELECT 'ait\\'s \\\\ \\u000a'"
    assert filled("SELECT `a{{.inputs.x}}`", "b`; x", BIGQUERY) == "SELECT `ab\\`; x`"


def test_a_raw_string_takes_no_risky_text() -> None:
    with pytest.raises(PermanentError, match="input 'x'"):
        filled("SELECT r'a{{.inputs.x}}'", "it's", BIGQUERY)


def test_an_escaped_quote_does_not_end_a_string_of_bigquery() -> None:
    (slot,) = (part for part in scan("SELECT 'it\\'s {{.inputs.x}}'", BIGQUERY) if isinstance(part, Slot))

    assert slot.place == "string"


def test_an_unknown_input_is_named() -> None:
    with pytest.raises(PermanentError, match="input 'y', which the task does not have"):
        fill(scan("SELECT {{.inputs.y}}", TRINO), {}, lambda name, _: name, TRINO)


def test_comments_do_not_hide_the_first_word() -> None:
    assert first_word(scan("/* CREATE */ -- drop\n  SELECT 1", TRINO)) == "select"


def test_the_author_s_text_is_left_as_it_is() -> None:
    statement = "SELECT '{{ not ours }}', \"a\"\"b\", 'it''s' -- '\n FROM t /* \" */"

    assert filled(statement, NASTY) == statement
