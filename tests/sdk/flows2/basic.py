"""Single actions: none starts another, so none needs a control plane."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from pathlib import Path

import flyte
import flyte.report
from flyte.io import File

env = flyte.TaskEnvironment(name="basic", image="python:3.11-slim", resources=flyte.Resources(cpu="1", memory="256Mi"))


@dataclass
class Point:
    x: int
    y: int


class Side(enum.Enum):
    LEFT = "left"
    RIGHT = "right"


@env.task
def add_one(x: int = 41) -> int:
    return x + 1


@env.task
async def greet(name: str, words: list[str]) -> tuple[str, int]:
    return f"{name}: {' '.join(words)}", len(words)


@env.task
def mirror(point: Point, side: Side) -> Point:
    return Point(x=-point.x, y=point.y) if side is Side.LEFT else point


@env.task(retries=2)
def raises(message: str) -> int:
    raise ValueError(message)


@env.task
def exits(code: int) -> int:
    sys.exit(code)


@env.task(report=True)
async def reports(title: str) -> str:
    await flyte.report.replace.aio(f"<h1>{title}</h1>")
    await flyte.report.flush.aio()
    return title


@env.task
async def write_file(text: str) -> File:
    path = Path("text.txt")
    path.write_text(text)  # noqa: ASYNC240 - as users write
    return await File.from_local(str(path))
