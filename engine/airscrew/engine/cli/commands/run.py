"""
``airscrew run``: a task from its source or its template to its outputs.

The words of the command line are read in two halves. Before the target all options are ours. After a template they
still are; after ``FILE.py TASK`` they are the task's inputs, unless the task has no such input and we have the option.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import label_option, namespace_option, output_option, run_async
from airscrew.idl.errors import UsageError

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App
    from airscrew.engine.cli.inputs import Prepared
    from airscrew.engine.cli.running import RunOptions

TARGET = "airscrew.target"
"""Where the context keeps the target, the task's name and the task's words."""


class RunCommand(Command):
    """Parses the words after the target by what the target is."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.allow_interspersed_args = False
        _, rest, _ = self.make_parser(ctx).parse_args(args=list(args))
        head = args[: len(args) - len(rest)]
        target, words = (rest[0], rest[1:]) if rest else ("", [])
        task, ours = "", words
        values: list[str] = []
        if target.endswith(".py"):
            task, words = (words[0], words[1:]) if words and not words[0].startswith("-") else ("", words)
            ours, values = self._divided(ctx, target, task, words)
        ctx.meta[TARGET] = (target, task, values)
        if _wants_help(ours) and target:
            self._show_inputs(ctx, target, task, ours)
        ctx.allow_interspersed_args = True
        return super().parse_args(ctx, [*head, *ours])

    def _divided(self, ctx: click.Context, file: str, task: str, words: list[str]) -> tuple[list[str], list[str]]:
        """Divide the words after a Python task into ours and the task's."""
        takes_value = {
            name: not (isinstance(option, click.Option) and option.is_flag)
            for option in self.get_params(ctx)
            for name in (*option.opts, *option.secondary_opts)
        }
        doubtful = {word.partition("=")[0] for word in words if word.startswith("--")} & takes_value.keys()
        theirs = _input_names(file, task) if task and doubtful - {"--help"} else frozenset[str]()
        ours: list[str] = []
        values: list[str] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            name, equals, _ = word.partition("=")
            is_ours = name in takes_value and name.removeprefix("--").replace("-", "_") not in theirs
            (ours if is_ours else values).append(word)
            if is_ours and takes_value[name] and not equals and rest:
                ours.append(rest.pop(0))
        return ours, values

    def _show_inputs(self, ctx: click.Context, target: str, task: str, ours: list[str]) -> None:
        from airscrew.engine.cli.task_help import task_help

        super().parse_args(ctx, [word for word in ours if word not in ctx.help_option_names])
        app: App = ctx.obj
        click.echo(task_help(app, target, task or ctx.params.get("task_name", "")))
        ctx.exit()


def _wants_help(words: list[str]) -> bool:
    return "--help" in words or "-h" in words


def _input_names(file: str, task: str) -> frozenset[str]:
    from airscrew.engine.sdk.child import serialize
    from airscrew.engine.sdk.model import Request

    found = run_async(lambda: serialize(Request(path=file, task=task)))
    return frozenset(variable.name for variable in found.inputs)


@click.command(cls=RunCommand, options_metavar="[OPTIONS]", add_help_option=True)
@click.option("--inputs", metavar="FILE|URI", default="", help="Inputs: .pb, JSON or YAML, or where they lie.")
@click.option("--input", "single", multiple=True, metavar="NAME=VALUE", help="One input, over those of --inputs.")
@click.option("--task", "task_name", default="", metavar="NAME", help="Which task of a package.")
@click.option("--name", default="", metavar="NAME", help="Of the execution; made from the task's if not given.")
@namespace_option
@label_option
@click.option("--env", multiple=True, metavar="KEY=VALUE", help="A variable for the task's processes; no secrets.")
@click.option("--executor", default="", metavar="ID", help="The executor to use, over the configured one.")
@click.option("--retries", type=click.IntRange(min=0), help="Attempts beyond the first, over the task's own.")
@click.option(
    "--timeout", multiple=True, metavar="[KIND=]DURATION", help="total (default), attempt, pending or queued, as 90s."
)
@click.option("--no-cache", is_flag=True, help="Neither read nor write the task cache.")
@click.option("--cache-overwrite", is_flag=True, help="Run even on a cache hit, and replace the entry.")
@click.option("--output-prefix", default="", metavar="URI", help="Where outputs go.")
@click.option("--detach", is_flag=True, help="Leave it to an engine in the background, and print its name.")
@click.option("--resume", is_flag=True, help="Also go on with what is unfinished; without a target, with that alone.")
@click.option("--follow-logs/--no-logs", "with_logs", default=True, help="Whether the log is shown as it is written.")
@click.option("--show-state", is_flag=True, help="Also show the executor's custom state as JSON when it changes.")
@output_option("text", "json", "yaml")
@click.pass_context
def run(ctx: click.Context, /, *, resume: bool, **options: Any) -> int:  # noqa: ANN401 - see RunOptions
    """
    Run a task to its outputs.

    \b
    airscrew run FILE.py TASK --x 3      a flytekit or Flyte 2 task; --help lists its inputs
    airscrew run TEMPLATE --input x=3    TaskTemplate or TaskSpec in binary, JSON or YAML; a package with --task
    airscrew run --resume                go on with everything unfinished
    """  # noqa: D301 - click reads the character itself
    from airscrew.engine.cli import running
    from airscrew.engine.cli.running import RunOptions

    app: App = ctx.obj
    target, task, words = ctx.meta[TARGET]
    chosen = RunOptions(**options, resume=resume)
    if not target:
        if resume:
            return asyncio.run(running.resume_all(app, chosen))
        raise UsageError("name what to run: FILE.py TASK, or a serialized template; airscrew run --help tells more")
    return asyncio.run(running.run_one(app, chosen, lambda: prepare(app, chosen, target, task, words)))


async def prepare(app: App, options: RunOptions, target: str, task: str, words: list[str]) -> Prepared:
    """Make the target ready."""
    from airscrew.engine.cli.inputs import prepare_python, prepare_template, task_values
    from airscrew.engine.cli.options import pairs

    if not target.endswith(".py"):
        return prepare_template(
            target,
            app.settings(),
            task=options.task_name,
            inputs=options.inputs,
            pairs=pairs(options.single, "--input"),
        )
    if not task:
        from airscrew.engine.cli.task_help import tasks_of

        raise UsageError(f"name the task of {target}: one of {await tasks_of(target)}")
    values: dict[str, object] = {**pairs(options.single, "--input"), **task_values(words)}
    return await prepare_python(target, task, values, inputs=options.inputs)
