"""Plain tasks, one for each kind of value that crosses the wire."""

from __future__ import annotations

import enum
import typing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
from flytekit import current_context, task
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile


@dataclass
class Person:
    name: str
    age: int
    tags: list[str]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@task
def add_one(x: int) -> int:
    """Add one."""
    return x + 1


@task
def greet(name: str, greeting: str = "hello") -> str:
    return f"{greeting}, {name}"


@task
def scalars(i: int, f: float, s: str, b: bool) -> typing.NamedTuple("Scalars", i=int, f=float, s=str, b=bool):
    return i * 2, f / 2, s.upper(), not b


@task
def nothing() -> None:
    """Take nothing and give nothing."""


@task
def birthday(person: Person) -> Person:
    return Person(name=person.name, age=person.age + 1, tags=[*person.tags, "older"])


@task
def count_words(words: list[str]) -> dict[str, int]:
    return {word: words.count(word) for word in words}


@task
def other_colour(colour: Colour) -> Colour:
    return Colour.BLUE if colour is Colour.RED else Colour.RED


@task
def later(at: datetime, by: timedelta) -> datetime:
    return at + by


@task
def maybe(x: int | None = None) -> int | str:
    return "none" if x is None else x


@task
def write_file(text: str) -> FlyteFile:
    path = Path(current_context().working_directory) / "text.txt"
    path.write_text(text)
    return FlyteFile(str(path))


@task
def read_file(file: FlyteFile) -> str:
    with open(file) as opened:  # noqa: PTH123 - as users read a FlyteFile
        return opened.read()


@task
def write_directory(names: list[str]) -> FlyteDirectory:
    folder = Path(current_context().working_directory) / "folder"
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    return FlyteDirectory(str(folder))


@task
def list_directory(folder: FlyteDirectory) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


@task
def make_frame(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"n": list(range(rows)), "square": [n * n for n in range(rows)]})


@task
def sum_frame(frame: pd.DataFrame) -> int:
    return int(frame["square"].sum())
