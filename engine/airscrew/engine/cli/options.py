"""
Options that several commands share, and how their values are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import click

from airscrew.idl.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def output_option(*formats: str) -> Callable[[F], F]:
    """Give a command ``-o``; the first format is the default."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(formats),
        default=formats[0],
        help=f"How to print it: {', '.join(formats)}.",
    )


namespace_option = click.option("-n", "--namespace", default="", metavar="NAME", help="The namespace (default).")

label_option = click.option(
    "-l", "--label", "label", multiple=True, metavar="KEY=VALUE", help="A label; may be given more than once."
)


def run_async(main: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run a command's coroutine."""
    return asyncio.run(main())


def pairs(values: Sequence[str], option: str) -> dict[str, str]:
    """
    Read values of the form ``KEY=VALUE``.

    Raises:
        UsageError: One has another form.
    """
    result: dict[str, str] = {}
    for value in values:
        key, separator, text = value.partition("=")
        if not separator or not key:
            raise UsageError(f"{option} {value!r} is not of the form KEY=VALUE")
        result[key] = text
    return result


def execution_name(text: str, namespace: str = "") -> str:
    """
    Read ``NAME`` or ``NAMESPACE/NAME`` as ``namespace/name``.

    Raises:
        UsageError: It cannot be a name.
    """
    from airscrew.idl.ids import ExecutionId

    return str(ExecutionId.parse(text, namespace or "default"))


def seconds(text: str, option: str) -> float:
    """
    Read a duration, as ``90s`` or ``7d``, or a number of seconds.

    Raises:
        UsageError: It is none.
    """
    from airscrew.engine.config.reading import parse_duration

    parsed = parse_duration(text)
    if parsed is not None:
        return parsed
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UsageError(f"{option} {text!r} is no duration: use seconds, or 90s, 15m, 7d")
    return value
