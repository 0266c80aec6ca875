"""
From flytekit's BigQuery task to a job: its configuration, and its inputs as named parameters. Pure.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from airscrew.engine.errors import PermanentError
from airscrew.idl.literals import to_json, to_python
from airscrew.idl.struct_fields import struct_to_json
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.sql_text import BIGQUERY, Part, Place, Text, fill

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.core.types_pb2 import LiteralType

_NAMED = re.compile(r"(?<![@\w])@(\w+)")
_FLYTE_S = frozenset({"Location", "ProjectID", "Domain"})
_AS_TEXT = "airscrew_text_"


def statement_of(template: TaskTemplate) -> str:
    """
    Return the statement.

    Raises:
        PermanentError: There is none.
    """
    statement = template.sql.statement if template.sql is not None else ""
    if not statement.strip():
        raise _refusal("the task holds no statement: its sql.statement is empty")
    return statement


def place_of(template: TaskTemplate, project: str, location: str) -> tuple[str, str]:
    """
    Return the project and the location of a task; the location may be empty.

    Raises:
        PermanentError: No project is named anywhere; names the keys.
    """
    named, where = template.custom.get("ProjectID"), template.custom.get("Location")
    found = named if isinstance(named, str) and named else project
    if not found:
        raise _refusal("the task names no project: set custom.ProjectID, or executors.bigquery.project")
    return found, where if isinstance(where, str) and where else location


def configuration_of(
    template: TaskTemplate, parts: Sequence[Part], inputs: LiteralMap, labels: Mapping[str, str]
) -> dict[str, object]:
    """
    Make a job's configuration: what the task's ``QueryJobConfig`` says, the statement and its parameters.

    Raises:
        PermanentError: An input cannot be bound, or legacy SQL is to take one; names it.
    """
    custom = struct_to_json(template.message.custom, whole_as_int=True)
    query = {name: value for name, value in custom.items() if name not in _FLYTE_S and value is not None}
    query.setdefault("useLegacySql", False)
    statement, ours = bound(template, parts, inputs)
    theirs = query.pop("queryParameters", None)
    given: list[object] = cast("list[object]", theirs) if isinstance(theirs, list) else []
    if ours and query["useLegacySql"]:
        raise _refusal("legacy SQL takes no parameters: use GoogleSQL for a statement with inputs")
    if given or ours:
        query["parameterMode"] = query.get("parameterMode") or "NAMED"
        query["queryParameters"] = [*given, *ours]
    return {"query": {**query, "query": statement}, "labels": dict(labels)}


def bound(template: TaskTemplate, parts: Sequence[Part], inputs: LiteralMap) -> tuple[str, list[dict[str, object]]]:
    """
    Put the inputs into a statement: ``@name`` and ``{{.inputs.name}}`` alike become named parameters.

    Raises:
        PermanentError: An input cannot be bound; names it.
    """
    texts = {name: _as_text(to_json(literal)) for name, literal in inputs.literals.items()}
    parameters: dict[str, dict[str, object]] = {}

    def take(name: str) -> None:
        declared = template.interface.inputs.get(name)
        kind = parameter_type(name, declared.type) if declared is not None else {"type": "STRING"}
        value = to_python(inputs.literals[name])
        parameters[name] = {"name": name, "parameterType": kind, "parameterValue": parameter_value(value)}

    def value(name: str, form: str) -> str:
        if form != "text" or isinstance(to_python(inputs.literals[name]), str):
            take(name)
            return f"@{name}"
        parameters[_AS_TEXT + name] = {
            "name": _AS_TEXT + name,
            "parameterType": {"type": "STRING"},
            "parameterValue": {"value": texts[name]},
        }
        return f"@{_AS_TEXT}{name}"

    by_case = {name.lower(): name for name in inputs.literals}
    for part in parts:
        if isinstance(part, Text) and part.place is Place.CODE:
            for match in _NAMED.finditer(part.text):
                if match[1].lower() in by_case:
                    take(by_case[match[1].lower()])
    statement = fill(parts, texts, value, BIGQUERY)
    return statement, [parameters[name] for name in sorted(parameters)]


def parameter_type(name: str, declared: LiteralType) -> dict[str, object]:
    """
    Say what BigQuery calls a type; times are DATETIME, as in flytekit's connector.

    Raises:
        PermanentError: It has no name there; names the input.
    """
    from flyteidl.core.types_pb2 import SimpleType

    names = {
        SimpleType.INTEGER: "INT64",
        SimpleType.FLOAT: "FLOAT64",
        SimpleType.STRING: "STRING",
        SimpleType.BOOLEAN: "BOOL",
        SimpleType.DATETIME: "DATETIME",
        SimpleType.BINARY: "BYTES",
    }
    match declared.WhichOneof("type"):
        case "simple" if declared.simple in names:
            return {"type": names[declared.simple]}
        case "collection_type":
            return {"type": "ARRAY", "arrayType": parameter_type(name, declared.collection_type)}
        case "union_type":
            variants = [one for one in declared.union_type.variants if one.simple != SimpleType.NONE or
                        one.WhichOneof("type") != "simple"]  # fmt: skip
            if len(variants) == 1:
                return parameter_type(name, variants[0])
        case "blob" | "schema" | "structured_dataset_type" | "enum_type":
            return {"type": "STRING"}
        case _:
            pass
    raise _refusal(f"input {name!r} is of a type that BigQuery takes no parameters of")


def parameter_value(value: object) -> dict[str, object]:
    """Write a value as BigQuery wants it of a parameter: as text, whatever its type."""
    match value:
        case None:
            return {}
        case list():
            return {"arrayValues": [parameter_value(item) for item in cast("list[object]", value)]}
        case bool():
            return {"value": "true" if value else "false"}
        case datetime():
            return {"value": value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")}
        case bytes():
            return {"value": base64.b64encode(value).decode()}
        case float():
            return {"value": repr(value)}
        case _:
            return {"value": _as_text(value)}


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _refusal(text: str) -> PermanentError:
    return PermanentError(text, code="BadTaskSpecification")
