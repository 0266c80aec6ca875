"""
Inputs in the SQL statements of connectors: as parameters that the connector's own client of the vendor binds.

flytekit's SQL tasks are authored with ``{{.inputs.x}}``, which its connectors do not fill in: they hand the inputs over
beside the statement, and the vendor would be given the braces. Here each is written as the vendor's client names a
parameter. What an input holds gets into a statement only where the author wrote it within quotes, and escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airscrew.engine.errors import PermanentError
from airscrew.idl.literals import to_json, to_python
from airscrew.plugins.sql_text import BIGQUERY, Dialect, Opener, Part, Place, Slot, Text, fill, refuse_risky

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

_DOLLARS = "$$"

SNOWFLAKE = Dialect(
    openers=(
        Opener("--", "\n", Place.COMMENT),
        Opener("//", "\n", Place.COMMENT),
        Opener("/*", "*/", Place.COMMENT),
        Opener("'", "'", Place.STRING),
        Opener('"', '"', Place.IDENTIFIER),
        Opener(_DOLLARS, _DOLLARS, Place.IDENTIFIER),  # a string, and verbatim as an identifier is
    ),
    has_backslash=True,
)
"""Snowflake's SQL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """
    How a connector's client of the vendor takes parameters.

    Attributes:
        dialect: How statements are read.
        parameter: A parameter in a statement, with ``{}`` for the input's name.
        doubled: What is written twice in the text of a statement that has parameters.
    """

    dialect: Dialect
    parameter: str
    doubled: str = ""

    def written(self, text: str) -> str:
        """Write text of a statement."""
        return text.replace(self.doubled, self.doubled * 2) if self.doubled else text


BINDINGS: Mapping[str, Binding] = {
    "snowflake": Binding(dialect=SNOWFLAKE, parameter="%({})s", doubled="%"),
    "bigquery_query_job_task": Binding(dialect=BIGQUERY, parameter="@{}"),
}
"""By the type of task, of either generation. Statements of other types go to their connectors as they are."""


def bound(binding: Binding, parts: Sequence[Part], inputs: LiteralMap) -> str:
    """
    Put a statement together again, with a parameter for each input that it names.

    Args:
        binding: How parameters are written.
        parts: The statement, taken apart.
        inputs: Of the task.

    Raises:
        PermanentError: There is no such input, or it cannot be written safely where it stands; names it.
    """
    values = {name: to_python(literal) for name, literal in inputs.literals.items()}
    texts = {name: _as_text(to_json(literal)) for name, literal in inputs.literals.items()}
    _refuse_uncertain(binding.dialect, parts, texts)
    parameters = {name: binding.parameter.format(name) for name in texts}
    if not any(isinstance(part, Text) and _names_one(part.text, parameters) for part in parts):
        # A statement that names parameters as its vendor has them is written twice already where it must be.
        parts = [Text(binding.written(part.text), part.place) if isinstance(part, Text) else part for part in parts]
    doubled = {name: binding.written(text) for name, text in texts.items()}

    def value(name: str, form: str) -> str:
        if form != "text" or isinstance(values[name], str):
            return parameters[name]
        quotes: list[Part] = [Text("'", Place.STRING), Slot(name, Place.STRING, "'"), Text("'", Place.STRING)]
        return fill(quotes, doubled, value, binding.dialect)

    return fill(parts, doubled, value, binding.dialect)


def _names_one(text: str, parameters: Mapping[str, str]) -> bool:
    return any(re.search(re.escape(parameter) + r"(?!\w)", text) for parameter in parameters.values())


def _refuse_uncertain(dialect: Dialect, parts: Sequence[Part], texts: Mapping[str, str]) -> None:
    """Insist that what is verbatim in Snowflake's SQL, where a backslash escapes nothing, has none."""
    if dialect is not SNOWFLAKE:
        return
    for part in parts:
        match part:
            case Slot(quote=quote) if quote == _DOLLARS:
                raise _refusal(f"input {part.name!r} stands between {_DOLLARS}, where nothing can be written safely")
            case Slot(place=Place.IDENTIFIER) if part.name in texts:
                refuse_risky(part.name, texts[part.name])
            case Text(place=Place.IDENTIFIER) if "\\" in part.text:
                raise _refusal(
                    "a statement with inputs has a backslash within a quoted name or between $$: "
                    "what its quotes end cannot be told for certain"
                )
            case _:
                pass


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _refusal(message: str) -> PermanentError:
    return PermanentError(message, code="BadTaskSpecification")
