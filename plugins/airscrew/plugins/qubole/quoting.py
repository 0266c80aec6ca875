"""
Inputs in a Hive query, so that no value of one becomes part of the query. Pure.

Hive takes no parameters over Qubole's API, so values are written into the text by the literal rules of HiveQL:

1. Inside ``'...'`` or ``"..."``: with a backslash before each quote and backslash.
2. Inside backticks: each backtick doubled.
3. Anywhere else, comments included: a number, a word, or words with dots between them; any other value is refused.

What the engine gives itself (``{{.rawOutputDataPrefix}}`` and the like) stands outside of quotes as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from airscrew.engine.errors import PermanentError

_TOKEN = re.compile(
    r"(?P<variable>\{\{\s*[.$](?P<name>[^}]*?)\s*\}\})"
    r"|(?P<escape>\\.)|(?P<quote>['\"`])|(?P<comment>--)|(?P<block>/\*)|(?P<close>\*/)|(?P<line>\n)",
    re.DOTALL,
)
_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?|[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_INPUT = re.compile(r"inputs\.(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Variable:
    """
    A variable of a query.

    Attributes:
        text: As it stands in the query.
        start: Where it begins.
        end: Where it ends.
        inside: The quote that it stands in; empty outside of quotes.
        input: The input that it means; empty for one of the engine's own.
    """

    text: str
    start: int
    end: int
    inside: str
    input: str


def variables(query: str) -> list[Variable]:
    """List the variables of a query, in order."""
    return list(_scan(query))


def fill(query: str, values: dict[str, str]) -> str:
    """
    Write values into a query, each by the rules of the place where it stands.

    Args:
        query: The query.
        values: The value of each variable, by its text.

    Raises:
        PermanentError: A value cannot stand where its variable does; names the input.
    """
    parts, at = list[str](), 0
    for found in variables(query):
        parts += [query[at : found.start], _written(found, values[found.text])]
        at = found.end
    return "".join([*parts, query[at:]])


def _scan(query: str) -> Iterator[Variable]:
    inside = ""
    for match in _TOKEN.finditer(query):
        kind, text = match.lastgroup, match[0]
        if match["variable"]:
            named = _INPUT.fullmatch(match["name"])
            quote = inside if inside in {"'", '"', "`"} else ""
            yield Variable(text, match.start(), match.end(), quote, named[1] if named else "")
        elif inside:
            inside = "" if _ends(inside, text) else inside
        elif kind in {"quote", "comment", "block"}:
            inside = text


def _ends(inside: str, text: str) -> bool:
    return text == {"--": "\n", "/*": "*/"}.get(inside, inside)


def _written(variable: Variable, value: str) -> str:
    match variable.inside:
        case "'" | '"':
            return value.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
        case "`":
            return value.replace("`", "``")
        case _:
            pass
    if not variable.input or _PLAIN.fullmatch(value):
        return value
    raise PermanentError(
        f"input {variable.input!r} is no number and no plain name, and stands outside of quotes in the query: "
        f"write '{variable.text}' there",
        code="BadTaskSpecification",
    )
