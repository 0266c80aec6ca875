"""
From a task to a statement: what the three kinds of tasks hold, its inputs in the text, its results in files. Pure.

Trino has no parameters apart from the text: ``EXECUTE … USING`` takes SQL literals as well. So an input is written as
the literal that it would be there, or within the quotes that the author wrote around it; see ``sql_text``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from airscrew.engine.errors import PermanentError
from airscrew.idl.literals import to_json, to_python
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.sql_text import TRINO, Part, Slot, fill, first_word, trino_literal, trino_string
from airscrew.plugins.trino.config import Results, is_header

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

RESULTS = "results"
"""The one output that flytekit's tasks declare."""

_QUERIES = frozenset({"select", "with", "values", "table"})
_LOCATION = "rawoutputdataprefix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """
    What a task holds; empty texts where it says nothing.

    Attributes:
        statement: Still with template variables.
        routing_group: Which cluster behind a gateway it is for.
        catalog: What it is about.
        schema: What names without a schema mean.
        tags: What it is known by.
    """

    statement: str
    routing_group: str = ""
    catalog: str = ""
    schema: str = ""
    tags: tuple[str, ...] = ()


def query_of(template: TaskTemplate) -> Query:
    """
    Read what flytekit's HiveTask (``QuboleHiveJob``) or AthenaTask (``PrestoQuery``) sends, or a task with SQL.

    Raises:
        PermanentError: There is no statement, or what goes into a header cannot; names the field.
    """
    custom = template.custom
    if template.type == "hive":
        inner = custom.get("query")
        query: Mapping[str, object] = cast("Mapping[str, object]", inner) if isinstance(inner, Mapping) else {}
        tags = custom.get("tags")
        named = "custom.query.query"
        made = Query(
            statement=_text(query, "query"),
            routing_group=_text(custom, "clusterLabel", "cluster_label"),
            tags=tuple(str(tag) for tag in cast("list[object]", tags)) if isinstance(tags, list) else (),
        )
    else:
        sql = template.sql.statement if template.sql is not None else ""
        named = "custom.statement" if template.type == "presto" else "sql.statement, or custom.statement,"
        made = Query(
            statement=sql or _text(custom, "statement"),
            routing_group=_text(custom, "routingGroup", "routing_group"),
            catalog=_text(custom, "catalog"),
            schema=_text(custom, "schema"),
        )
    if not made.statement.strip():
        raise _refusal(f"the task holds no statement: {named} is empty")
    for text in (made.routing_group, made.catalog, made.schema, *made.tags):
        if text and not is_header(text):
            raise _refusal(f"{text!r} cannot be sent as a header: use printable ASCII characters")
    return made


def bind(parts: Sequence[Part], inputs: LiteralMap) -> str:
    """
    Put the inputs into a statement, each as a value.

    Raises:
        PermanentError: An input cannot be written where it stands; names it.
    """
    named = {part.name for part in parts if isinstance(part, Slot)} & set(inputs.literals)
    values = {name: to_python(inputs.literals[name]) for name in named}
    texts = {name: _as_text(to_json(inputs.literals[name])) for name in named}

    def literal(name: str, form: str) -> str:
        return trino_string(texts[name]) if form == "text" else trino_literal(name, values[name])

    return _unended(fill(parts, texts, literal, TRINO))


def results_type(template: TaskTemplate) -> dict[str, Any]:
    """
    Return the declared type of ``results`` as JSON; empty when the task declares no outputs.

    Raises:
        PermanentError: It declares another output, or of a type that no table is.
    """
    from google.protobuf.json_format import MessageToDict

    declared = template.interface.outputs
    if not declared:
        return {}
    if set(declared) != {RESULTS}:
        raise _refusal(f"a query has one output, {RESULTS!r}, and the task declares {', '.join(sorted(declared))}")
    kind = declared[RESULTS].type
    if kind.WhichOneof("type") not in {"schema", "structured_dataset_type"}:
        raise _refusal(f"output {RESULTS!r} must be a schema or a structured dataset")
    return MessageToDict(kind)


def table_of(statement: str, parts: Sequence[Part], results: Results | None, key: str) -> str:
    """
    Name the table that the results of a statement are to be written to; empty when it writes them by itself.

    Args:
        statement: As the author wrote it.
        parts: The same, taken apart.
        results: Where tables may be made; None for nowhere.
        key: The attempt's.

    Raises:
        PermanentError: Nothing would write them; says what to do.
    """
    if _LOCATION in statement.lower():
        return ""
    if results is None or first_word(parts) not in _QUERIES:
        raise _refusal(
            f"the task declares {RESULTS!r}, and nothing writes them: write them to {{{{.rawOutputDataPrefix}}}} in the"
            " statement, or, for a query, have executors.trino.results set"
        )
    return ".".join(_quoted(name) for name in (results.catalog, results.schema, f"airscrew_{key.replace('-', '_')}"))


def written_to(statement: str, table: str, location: str, form: str) -> str:
    """Write a statement that writes a query's results to a location, by a table that is only a name for it."""
    place, kind = trino_string(location), trino_string(form)
    return f"CREATE TABLE {table} WITH (external_location = {place}, format = {kind}) AS\n{statement}"


def dropping(table: str) -> str:
    """Write a statement that drops the name of a table; what was written through it stays."""
    return f"DROP TABLE IF EXISTS {table}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _unended(statement: str) -> str:
    """Trino takes one statement, without the semicolon that people end it with."""
    return statement.strip().rstrip(";").rstrip()


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _text(members: Mapping[str, object], *names: str) -> str:
    found = next((members[name] for name in names if name in members), "")
    return found if isinstance(found, str) else ""


def _refusal(text: str) -> PermanentError:
    return PermanentError(text, code="BadTaskSpecification")
