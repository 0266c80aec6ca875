"""``airscrew bench``."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

import click
import msgspec

from airscrew.engine.cli import render
from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import output_option

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App


@click.group
def bench() -> None:
    """Measure the engine on this machine."""


tasks_option = click.option("--tasks", type=click.IntRange(min=1), default=1000, show_default=True, help="How many.")
store_option = click.option(
    "--store", default="", metavar="URL", help="memory, sqlite:PATH or etcd://HOST/PREFIX; a new one."
)


@bench.command(cls=Command)
@tasks_option
@store_option
@click.option("--metrics", is_flag=True, help="Count as an engine does whose metrics are read.")
@output_option("table", "json", "yaml")
@click.pass_obj
def engine(app: App, tasks: int, store: str, metrics: bool, output: str) -> None:
    """Tasks a second from submission to the end, beside what the store alone can write."""
    _measure(app, "engine", output, tasks=tasks, store=store, metrics=metrics)


@bench.command(cls=Command)
@tasks_option
@store_option
@output_option("table", "json", "yaml")
@click.pass_obj
def inflight(app: App, tasks: int, store: str, output: str) -> None:
    """What so many tasks that run at once cost."""
    _measure(app, "inflight", output, tasks=tasks, store=store)


@bench.command(cls=Command)
@tasks_option
@click.option("--finished", type=click.IntRange(min=0), default=10_000, show_default=True, help="How many are over.")
@store_option
@output_option("table", "json", "yaml")
@click.pass_obj
def reopen(app: App, tasks: int, finished: int, store: str, output: str) -> None:
    """How long an engine takes to have all that runs under control again, beside what is over."""
    _measure(app, "reopen", output, tasks=tasks, finished=finished, store=store)


@bench.command(cls=Command)
@tasks_option
@click.option("--repeat", type=click.IntRange(min=1), default=5, show_default=True, help="How many pairs.")
@output_option("table", "json", "yaml")
@click.pass_obj
def blocking(app: App, tasks: int, repeat: int, output: str) -> None:
    """How late the loop is beside a plugin that blocks, and without it."""
    _measure(app, "blocking", output, tasks=tasks, repeat=repeat)


@bench.command(cls=Command)
@click.option("--repeat", type=click.IntRange(min=1), default=5, show_default=True, help="How often.")
@output_option("table", "json", "yaml")
@click.pass_obj
def startup(app: App, repeat: int, output: str) -> None:
    """How long the command line takes to begin."""
    _measure(app, "startup", output, repeat=repeat)


@bench.command(cls=Command)
@click.option("--repeat", type=click.IntRange(min=1), default=5, show_default=True, help="How often.")
@output_option("table", "json", "yaml")
@click.pass_obj
def overhead(app: App, repeat: int, output: str) -> None:
    """What the engine adds to a task's own time: alone, and through one that serves."""
    _measure(app, "overhead", output, repeat=repeat)


def _pod_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of measurements of Pods."""
    for option in (
        click.option("--node", default="", metavar="NAME", help="Put every Pod there, past the scheduler."),
        click.option("--image", default="busybox", show_default=True, help="Of the Pods."),
        click.option("-n", "--namespace", default="default", show_default=True, help="Where they are."),
        click.option("--context", default="", metavar="NAME", help="A context of the kubeconfig."),
        click.option("--kubeconfig", default="", metavar="FILE", help="Which cluster."),
        store_option,
    ):
        command = option(command)
    return command


@bench.command(cls=Command)
@tasks_option
@click.option("--repeat", type=click.IntRange(min=1), default=5, show_default=True, help="How many pairs.")
@click.option("--in-flight", type=click.IntRange(min=1), default=128, show_default=True, help="Pods at once.")
@_pod_options
@output_option("table", "json", "yaml")
@click.pass_obj
def pods(app: App, /, tasks: int, repeat: int, store: str, output: str, **places: object) -> None:
    """Pod tasks a second, beside a bare loop that makes the same calls."""
    from airscrew.engine.bench import PodOptions

    _measure(app, "pods", output, tasks=tasks, repeat=repeat, store=store, pods=msgspec.convert(places, PodOptions))


@bench.command("pod-events", cls=Command)
@click.option("--in-flight", type=click.IntRange(min=1), default=1000, show_default=True, help="Pods at once.")
@click.option("--events", type=click.IntRange(min=1), default=600, show_default=True, help="How many changes.")
@click.option("--rate", type=click.FloatRange(min=0.1), default=20.0, show_default=True, help="Changes a second.")
@_pod_options
@output_option("table", "json", "yaml")
@click.pass_obj
def pod_events(app: App, /, store: str, output: str, **places: object) -> None:
    """How long a change of a Pod takes to be recorded, and what watching Pods takes."""
    from airscrew.engine.bench import PodOptions

    _measure(app, "pod_events", output, store=store, pods=msgspec.convert(places, PodOptions))


def _measure(app: App, name: str, output: str, **options: object) -> None:
    from airscrew.engine.bench import BenchOptions

    module = import_module(f"airscrew.engine.bench.{name}")
    with tempfile.TemporaryDirectory(prefix="airscrew-bench-") as folder:
        result = asyncio.run(module.measure(BenchOptions(directory=folder, **options)))  # type: ignore[arg-type]
    click.echo(render.as_data(result, output) if output != "table" else as_table(result))


def as_table(result: Mapping[str, object]) -> str:
    """Write figures below each other."""
    return render.table(("FIGURE", "VALUE"), [(name, _figure(value)) for name, value in result.items()])


def _figure(value: object) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
