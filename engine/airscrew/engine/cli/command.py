"""
The classes of all commands: the root's options may also follow a command's name.
"""

from __future__ import annotations

from typing import Any, cast

import click
from typing_extensions import override

from airscrew.engine.cli.app import App

REACH = ("home", "config", "server", "token_file", "ca", "cert", "key", "server_name")


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        cast("App", ctx.obj).reach[param.name] = value


class Command(click.Command):
    """A command that also takes the root's options: ``--home``, ``--server`` and so on."""

    @override
    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *_REACH_OPTIONS]


class Group(click.Group):
    """A command with commands below it that also takes the root's options."""

    @override
    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *_REACH_OPTIONS]


def _option(name: str) -> click.Option:
    settings: dict[str, Any] = {"expose_value": False, "hidden": True, "callback": _remember, "is_eager": True}
    return click.Option([f"--{name.replace('_', '-')}"], **settings)


_REACH_OPTIONS = [_option(name) for name in REACH]
