"""
The root of the command line: the commands by name, and the last wall around each.

The names and short help of the commands are here so that ``airscrew --help`` imports none of them; a test holds that
they agree with the commands' own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import click
from typing_extensions import override

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("run:run", "Run a task to its outputs."),
    "serve": ("serve:serve", "Run the engine as a service."),
    "list": ("listing:list_command", "List executions."),
    "get": ("show:get", "Show an execution in one line or as data."),
    "describe": ("show:describe", "Show all that is known of an execution."),
    "watch": ("watch:watch", "Follow an execution until it is over."),
    "logs": ("logs:logs", "Print the log of an execution."),
    "kill": ("kill:kill", "End executions and see that they are gone."),
    "retry": ("retry:retry", "Run an execution again."),
    "leaks": ("leaks:leaks", "List what may still lie outside."),
    "quotas": ("quotas:quotas", "List the quotas and who waits for them."),
    "members": ("members:members", "List the engines that work on the store."),
    "shards": ("members:shards", "Show which engine has which shard."),
    "release": ("release:release", "Let go of all that an installation holds."),
    "prune": ("prune:prune", "Delete executions that ended long ago."),
    "plugin": ("plugin:plugin", "Make a new plugin."),
    "plugins": ("plugins:plugins", "List the installed executors."),
    "rbac": ("rbac:rbac", "Write the roles that executors need."),
    "doctor": ("doctor:doctor", "Check that everything needed is in order."),
    "state": ("state:state", "Export, import or inspect the state."),
    "bench": ("bench:bench", "Measure the engine on this machine."),
    "version": ("version:version", "Print the version."),
}
"""Each command's place below ``commands`` and its short help, in the order of ``--help``."""


class LazyGroup(click.Group):
    """A group that imports a command when it is used."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(f"airscrew.engine.cli.commands.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command is called {args[0]!r}{_nearest(args[0])}")
        return super().resolve_command(ctx, args)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _nearest(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"; did you mean {near[0]!r}?" if near else "; airscrew --help lists them"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--home", metavar="DIR", help="State, logs and local outputs (AIRSCREW_HOME; ~/.local/state/airscrew).")
@click.option("--config", metavar="FILE", help="Settings in YAML or JSON (AIRSCREW_CONFIG).")
@click.option("--server", metavar="HOST:PORT", help="Talk to this engine instead (AIRSCREW_SERVER).")
@click.option("--token-file", metavar="FILE", help="The token for --server (AIRSCREW_TOKEN_FILE).")
@click.option("--ca", metavar="FILE", help="Who vouches for --server: speak TLS (AIRSCREW_CA).")
@click.option("--cert", metavar="FILE", help="The certificate to show to --server (AIRSCREW_CERT).")
@click.option("--key", metavar="FILE", help="The key of it (AIRSCREW_KEY).")
@click.option("--server-name", metavar="NAME", help="What --server's certificate says (AIRSCREW_SERVER_NAME).")
@click.option("--plaintext", is_flag=True, help="Send the token to another machine without TLS (AIRSCREW_PLAINTEXT).")
@click.pass_obj
def cli(app: App, /, *, plaintext: bool, **reach: str | None) -> None:
    """
    Run Flyte task templates: lose nothing, start nothing twice.

    \b
    airscrew run FILE.py TASK --x 3     a flytekit or Flyte 2 task
    airscrew run TEMPLATE --input x=3   a serialized template
    airscrew list                       what runs, and what ran
    """  # noqa: D301 - click reads the character itself
    app.reach.update(reach)
    app.plaintext = plaintext


def run(arguments: Sequence[str], app: App | None = None) -> int:
    """
    Run one command and return its exit code.

    Args:
        arguments: What follows ``airscrew``.
        app: What the command works with; None for the real engine and this process's environment.
    """
    from airscrew.engine.cli.app import App
    from airscrew.engine.cli.exits import ExitCode

    try:
        result = cli.main(list(arguments), prog_name="airscrew", standalone_mode=False, obj=app or App())
    except click.exceptions.Exit as request:
        return request.exit_code
    except SystemExit as request:
        # Click ends so, and never else here, when nobody reads the output; it has silenced the streams.
        return ExitCode.BROKEN_PIPE if request.code == 1 else ExitCode.SYSTEM_FAILURE
    except click.ClickException as error:
        return _fail(error.format_message(), ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the process's top
        return _explain(error)
    return int(result or 0) if isinstance(result, int) else 0


def _explain(error: Exception) -> int:
    from airscrew.engine.cli.exits import exit_code_of, leaf, one_line

    if os.environ.get("AIRSCREW_DEBUG"):
        import traceback

        traceback.print_exception(error)
    cause = leaf(error)
    return _fail(one_line(cause), exit_code_of(cause))


def _fail(message: str, code: int) -> int:
    from airscrew.engine.cli.log import announce_failure

    announce_failure(message)
    return code
