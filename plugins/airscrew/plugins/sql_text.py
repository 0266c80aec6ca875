"""
Inputs in SQL text: where in a statement each stands, and how it gets there without becoming code.

Guarantees:

1. What an input holds is never read as SQL: it is bound as a parameter, or written as a literal by the rules of the
   dialect, or escaped within the quotes that the author wrote around it.
2. Within a comment only letters, digits and a few harmless signs of it are left.
3. Where a dialect's rules are not known for certain (``Dialect.is_strict``), a value with a quote, a backslash or a
   control character is refused by the name of its input.
4. Text that the author wrote is left as it is, and what is put in is never scanned again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeAlias, TypeVar, cast

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import TaskContext

StateT = TypeVar("StateT")

_SLOT = re.compile(r"\{\{\s*[.$]inputs\.(?P<name>[^}\s]+)\s*\}\}", re.IGNORECASE)
_HARMLESS = re.compile(r"[^\w .:,=@/-]")
_RISKY = re.compile(r"['\"`\\\x00-\x1f\x7f]")
_ENDS_A_VALUE = re.compile(r"[=<>(,+\-|/]\s*$")
_WORD = re.compile(r"[A-Za-z]+")


class Place(StrEnum):
    """What a part of a statement is."""

    CODE = "code"
    STRING = "string"
    IDENTIFIER = "identifier"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True)
class Opener:
    """What begins something quoted, and what ends it."""

    text: str
    closing: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """
    How a dialect quotes.

    Attributes:
        openers: What begins a string, an identifier or a comment; longer ones first.
        has_backslash: Whether a backslash escapes within strings; if not, quotes are doubled.
        is_strict: See guarantee 3.
    """

    openers: tuple[Opener, ...]
    has_backslash: bool = False
    is_strict: bool = False


_COMMENTS = (Opener("--", "\n", Place.COMMENT), Opener("/*", "*/", Place.COMMENT))

TRINO = Dialect(openers=(*_COMMENTS, Opener("'", "'", Place.STRING), Opener('"', '"', Place.IDENTIFIER)))
"""Trino, and so Athena's queries."""

UNCERTAIN = Dialect(
    openers=(*TRINO.openers, Opener("`", "`", Place.IDENTIFIER)),
    is_strict=True,
)
"""Statements of which it is not known whose grammar they are read by, as Athena's DDL."""

BIGQUERY = Dialect(
    openers=(
        *_COMMENTS,
        Opener("#", "\n", Place.COMMENT),
        Opener("'''", "'''", Place.STRING),
        Opener('"""', '"""', Place.STRING),
        Opener("'", "'", Place.STRING),
        Opener('"', '"', Place.STRING),
        Opener("`", "`", Place.IDENTIFIER),
    ),
    has_backslash=True,
)
"""GoogleSQL."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text of the author's."""

    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Slot:
    """
    Where an input goes.

    Attributes:
        name: The input's name.
        place: What it stands in.
        quote: What ends that; empty in code.
        is_raw: Whether escapes mean nothing there.
    """

    name: str
    place: Place
    quote: str = ""
    is_raw: bool = False


Part: TypeAlias = Text | Slot


def scan(statement: str, dialect: Dialect) -> list[Part]:
    """Take a statement apart. An input that is all of a string literal after an operator becomes a value in code."""
    scanner = _Scanner(statement, dialect)
    return _unquoted(scanner.parts())


async def rendered(context: TaskContext[StateT], parts: Sequence[Part]) -> list[Part]:
    """Let the engine say what the variables are that are its own, as locations."""
    texts = await context.render([part.text for part in parts if isinstance(part, Text)])
    made = iter(texts)
    return [Text(next(made), part.place) if isinstance(part, Text) else part for part in parts]


def first_word(parts: Sequence[Part]) -> str:
    """Return the first word of a statement's code in lower case; empty when there is none."""
    for part in parts:
        if isinstance(part, Text) and part.place is Place.CODE and (found := _WORD.search(part.text)):
            return found[0].lower()
    return ""


def code_holds(parts: Sequence[Part], text: str) -> bool:
    """Tell whether a text stands in a statement's code, outside quotes and comments."""
    return any(isinstance(part, Text) and part.place is Place.CODE and text in part.text for part in parts)


def fill(parts: Sequence[Part], texts: Mapping[str, str], value: Callable[[str, str], str], dialect: Dialect) -> str:
    """
    Put a statement together.

    Args:
        parts: The statement, taken apart.
        texts: Each input as text, for places within quotes and comments.
        value: Writes an input, by its name, as a value in code; the second argument is ``"text"`` where the author put
            it in quotes of its own.
        dialect: As it was taken apart.

    Raises:
        PermanentError: The task has no such input, or it cannot be written there; names it.
    """
    return "".join(part.text if isinstance(part, Text) else _slot(part, texts, value, dialect) for part in parts)


def refuse_risky(name: str, text: str) -> None:
    """
    Insist that a text is harmless by the rules of any dialect.

    Raises:
        PermanentError: It is not; names the input.
    """
    if _RISKY.search(text):
        raise PermanentError(
            f"input {name!r} holds a quote, a backslash or a control character, which cannot be written safely in this"
            " statement",
            code="BadTaskSpecification",
        )


def trino_string(text: str) -> str:
    """Write a string literal by doubling its quotes, as standard SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def trino_literal(name: str, value: object) -> str:
    """
    Write a value as Trino has it.

    Raises:
        PermanentError: It has no such form; names the input.
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value) if value >= 0 else f"({value})"  # in brackets: after a minus it would begin a comment
        case float():
            return _double(value)
        case str():
            return trino_string(value)
        case datetime():
            return f"TIMESTAMP '{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC'"
        case timedelta():
            return f"(INTERVAL '1' SECOND * {_double(value.total_seconds())})"
        case bytes():
            return f"X'{value.hex()}'"
        case list():
            items = cast("list[object]", value)
            return f"ARRAY[{', '.join(trino_literal(name, item) for item in items)}]"
        case _:
            raise PermanentError(
                f"input {name!r} is a {type(value).__name__}, which has no form in SQL", code="BadTaskSpecification"
            )


def _slot(slot: Slot, texts: Mapping[str, str], value: Callable[[str, str], str], dialect: Dialect) -> str:
    if slot.name not in texts:
        raise PermanentError(
            f"the statement refers to input {slot.name!r}, which the task does not have", code="BadTaskSpecification"
        )
    text = texts[slot.name]
    match slot.place:
        case Place.CODE:
            return value(slot.name, slot.quote)
        case Place.COMMENT:
            return _HARMLESS.sub("_", text)
        case Place.STRING | Place.IDENTIFIER:
            if dialect.is_strict or slot.is_raw:
                refuse_risky(slot.name, text)
            if dialect.has_backslash:
                return _RISKY.sub(_backslashed, text)
            return text.replace(slot.quote, slot.quote * 2)


def _double(value: float) -> str:
    if math.isnan(value):
        return "nan()"
    if math.isinf(value):
        return "infinity()" if value > 0 else "(-infinity())"
    return f"DOUBLE '{value!r}'"


def _backslashed(match: re.Match[str]) -> str:
    sign = match[0]
    return f"\\{sign}" if sign.isprintable() else f"\\u{ord(sign):04x}"


@dataclass(slots=True)
class _Scanner:
    statement: str
    dialect: Dialect
    _found: list[Part] = field(default_factory=list[Part])
    _start: int = 0
    _place: Place = Place.CODE
    _closing: str = ""
    _is_raw: bool = False

    def parts(self) -> list[Part]:
        at = 0
        while at < len(self.statement):
            slot = _SLOT.match(self.statement, at)
            if slot is not None:
                self._flush(at)
                self._found.append(Slot(slot["name"], self._place, self._closing, self._is_raw))
                at = self._start = slot.end()
            elif self._closing:
                at = self._inside(at)
            else:
                at = self._outside(at)
        self._flush(len(self.statement))
        return self._found

    def _outside(self, at: int) -> int:
        for opener in self.dialect.openers:
            if self.statement.startswith(opener.text, at):
                self._flush(at)
                self._place, self._closing = opener.place, opener.closing
                self._is_raw = self.dialect.has_backslash and self.statement[:at][-2:].strip().lower().endswith("r")
                return at + len(opener.text)
        return at + 1

    def _inside(self, at: int) -> int:
        if self.dialect.has_backslash and self._place is not Place.COMMENT and self.statement[at] == "\\":
            return min(at + 2, len(self.statement))
        if not self.statement.startswith(self._closing, at):
            return at + 1
        end = at + len(self._closing)
        self._flush(end)
        self._place, self._closing, self._is_raw = Place.CODE, "", False
        return end

    def _flush(self, end: int) -> None:
        if end > self._start:
            self._found.append(Text(self.statement[self._start : end], self._place))
            self._start = end


def _unquoted(parts: list[Part]) -> list[Part]:
    """Turn ``= '{{.inputs.x}}'`` into a value: then it can be bound. ``DATE '{{.inputs.x}}'`` stays a string."""
    made: list[Part] = []
    at = 0
    while at < len(parts):
        slot = parts[at + 1] if at + 2 < len(parts) else None
        if isinstance(slot, Slot) and _is_all_of_a_string(parts, at, slot):
            made.append(Slot(slot.name, Place.CODE, "text"))
            at += 3
        else:
            made.append(parts[at])
            at += 1
    return made


def _is_all_of_a_string(parts: list[Part], at: int, slot: Slot) -> bool:
    opening, closing = parts[at], parts[at + 2]
    quotes = Text(slot.quote, Place.STRING)
    if slot.place is not Place.STRING or slot.is_raw or opening != quotes or closing != quotes:
        return False
    before = parts[at - 1] if at else None
    after = parts[at + 3] if at + 3 < len(parts) else None
    follows_operator = isinstance(before, Text) and before.place is Place.CODE and _ENDS_A_VALUE.search(before.text)
    return bool(follows_operator) and (after is None or after.place is not Place.STRING)
