"""
From a task to a query: what flytekit's two kinds of tasks hold, and its inputs in the statement. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from airscrew.engine.errors import PermanentError
from airscrew.idl.literals import to_json, to_python
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.sql_text import (
    TRINO,
    UNCERTAIN,
    Dialect,
    Part,
    Place,
    Slot,
    Text,
    code_holds,
    fill,
    first_word,
    refuse_risky,
    scan,
    trino_literal,
    trino_string,
)

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

TAKES_PARAMETERS = frozenset({"select", "with", "insert", "unload"})
"""First words of statements in which Athena takes parameters."""

_QUERIES = TAKES_PARAMETERS | {"delete", "update", "merge", "values"}
_LONGEST_PARAMETER = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """
    What a task holds; empty texts where it says nothing.

    Attributes:
        statement: Still with template variables.
        workgroup: Where it is run.
        catalog: What it is about.
        database: What names without a database mean.
    """

    statement: str
    workgroup: str = ""
    catalog: str = ""
    database: str = ""


@dataclass(frozen=True, slots=True)
class Bound:
    """A statement with its inputs, and what stands for its question marks: SQL literals, in order."""

    statement: str
    parameters: list[str] = field(default_factory=list[str])


def query_of(template: TaskTemplate) -> Query:
    """
    Read what flytekit's AthenaTask (``PrestoQuery``) or HiveTask (``QuboleHiveJob``) sends.

    Raises:
        PermanentError: There is no statement; names the field.
    """
    custom = template.custom
    if template.type == "hive":
        inner = custom.get("query")
        query: Mapping[str, object] = cast("Mapping[str, object]", inner) if isinstance(inner, Mapping) else {}
        made = Query(statement=_text(query, "query"), database=_text(custom, "clusterLabel", "cluster_label"))
        named = "custom.query.query"
    else:
        made = Query(
            statement=_text(custom, "statement"),
            workgroup=_text(custom, "routingGroup", "routing_group"),
            catalog=_text(custom, "catalog"),
            database=_text(custom, "schema"),
        )
        named = "custom.statement"
    if not made.statement.strip():
        raise PermanentError(f"the task holds no statement: {named} is empty", code="BadTaskSpecification")
    return made


def take_apart(statement: str) -> tuple[list[Part], Dialect]:
    """
    Take a statement apart, by the grammar that Athena reads it by.

    Raises:
        PermanentError: That grammar is not known, and inputs could not be told from text.
    """
    parts = scan(statement, TRINO)
    if first_word(parts) in _QUERIES:
        return parts, TRINO
    parts = scan(statement, UNCERTAIN)
    has_slots = any(isinstance(part, Slot) for part in parts)
    if has_slots and any(isinstance(part, Text) and "\\" in part.text for part in parts):
        raise PermanentError(
            "a statement that is no query has inputs and a backslash: its quotes cannot be told for certain",
            code="BadTaskSpecification",
        )
    return parts, UNCERTAIN


def bind(parts: Sequence[Part], dialect: Dialect, inputs: LiteralMap) -> Bound:
    """
    Put the inputs into a statement: as parameters where all of them can be, else as literals.

    Raises:
        PermanentError: An input cannot be written where it stands; names it.
    """
    named = {part.name for part in parts if isinstance(part, Slot)} & set(inputs.literals)
    values = {name: to_python(inputs.literals[name]) for name in named}
    texts = {name: _as_text(to_json(inputs.literals[name])) for name in named}

    def literal(name: str, form: str) -> str:
        if dialect.is_strict:
            refuse_risky(name, texts[name])
        return trino_string(texts[name]) if form == "text" else trino_literal(name, values[name])

    parameters: list[str] = []

    def parameter(name: str, form: str) -> str:
        parameters.append(literal(name, form))
        return "?"

    may_bind = first_word(parts) in TAKES_PARAMETERS and not code_holds(parts, "?")
    slots = [part for part in parts if isinstance(part, Slot) and part.place is Place.CODE and part.name in named]
    if may_bind and all(len(literal(slot.name, slot.quote)) <= _LONGEST_PARAMETER for slot in slots):
        return Bound(fill(parts, texts, parameter, dialect), parameters)
    return Bound(fill(parts, texts, literal, dialect))


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _text(members: Mapping[str, object], *names: str) -> str:
    found = next((members[name] for name in names if name in members), "")
    return found if isinstance(found, str) else ""
