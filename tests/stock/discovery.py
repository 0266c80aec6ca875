"""
Requests checked against a discovery document of Google's, as its own client for Python ships it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.stock.environments import python_of

KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool, str),  # the JSON of Google's services may have booleans and numbers as strings
    "integer": (int, str),
    "number": (int, float, str),
    "array": (list,),
    "object": (dict,),
}


@cache
def document(name: str) -> dict[str, Any]:
    """Read the document of a service, as in ``bigquery.v2``."""
    (folder,) = (python_of("flytekit").parents[1] / "lib").glob("python*/site-packages/googleapiclient")
    found: dict[str, Any] = json.loads((folder / "discovery_cache" / "documents" / f"{name}.json").read_text())
    return found


def problems(name: str, schema: str, value: object) -> list[str]:
    """Say where a body is not what the schema has."""
    return list(_problems(document(name)["schemas"], {"$ref": schema}, value, schema))


def _problems(schemas: dict[str, Any], schema: dict[str, Any], value: object, place: str) -> Iterator[str]:
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    kind = schema.get("type", "any")
    if kind != "any" and not isinstance(value, KINDS[kind]):
        yield f"{place} is no {kind}: {value!r}"
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _problems(schemas, schema["items"], each, f"{place}[{index}]")
    elif isinstance(value, dict) and kind == "object":
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        for key, each in value.items():
            if key in known or others is not None:
                yield from _problems(schemas, known.get(key, others), each, f"{place}.{key}")
            else:
                yield f"{place} has no {key}"
