"""``airscrew rbac``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli import render
from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import output_option

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App
    from airscrew.engine.executor import ClusterRight


@click.group()
def rbac() -> None:
    """Write the roles that executors need."""


@rbac.command("render", cls=Command)
@click.option("-n", "--namespace", "namespaces", multiple=True, metavar="NAME", help="Where tasks run (default).")
@click.option("--cluster-wide", is_flag=True, help="A ClusterRole, for tasks in any namespace.")
@click.option("--name", default="airscrew", metavar="NAME", help="Of the roles and the service account (airscrew).")
@click.option("--account-namespace", default="", metavar="NAME", help="Of the service account; else the first one.")
@click.option("--executor", "executors", multiple=True, metavar="ID", help="Of these, over those that are enabled.")
@output_option("yaml", "json")
@click.pass_obj
def render_command(
    app: App,
    namespaces: tuple[str, ...],
    cluster_wide: bool,
    name: str,
    account_namespace: str,
    executors: tuple[str, ...],
    output: str,
) -> None:
    """Print a Role for each namespace, or a ClusterRole, with the rights that the enabled executors declare."""
    from airscrew.engine.cli.roles import Account, manifests
    from airscrew.idl.errors import UsageError

    if namespaces and cluster_wide:
        raise UsageError("--namespace and --cluster-wide exclude each other")
    where = namespaces or ("default",)
    rights = [right for _, each in sorted(_wanted(app, executors).items()) for right in each]
    account = Account(name=name, namespace=account_namespace or where[0])
    found = manifests(rights, account, where, cluster_wide=cluster_wide)
    if output == "json":
        click.echo(render.as_data({"apiVersion": "v1", "kind": "List", "items": found}, output))
    else:
        click.echo("\n---\n".join(render.as_data(each, output) for each in found))


@rbac.command("list", cls=Command)
@output_option("yaml", "json")
@click.pass_obj
def list_command(app: App, output: str) -> None:
    """Print the rules of every installed executor that needs some, by its id."""
    from airscrew.engine.cli.roles import rules

    del app
    click.echo(render.as_data({name: rules(rights) for name, rights in sorted(_declared().items()) if rights}, output))


def _wanted(app: App, executors: Sequence[str]) -> Mapping[str, Sequence[ClusterRight]]:
    """Return the rights of those that were named, or of those that the settings enable."""
    from airscrew.engine.manager import find_executors
    from airscrew.engine.registry import nearest
    from airscrew.idl.errors import UsageError

    declared = _declared()
    for name in executors:
        if name not in declared:
            raise UsageError(f"no executor is called {name!r}{nearest(name, list(declared))}")
    enabled = find_executors(app.settings(), is_serving=True).all() if not executors else ()
    return {name: declared[name] for name in executors} | {
        one.id: declared[one.id] for one, _, _ in enabled if one.enabled and one.id in declared
    }


def _declared() -> Mapping[str, Sequence[ClusterRight]]:
    """Read what the installed executors declare; one that does not load declares nothing."""
    from airscrew.engine.registry import Registry, discover

    registry = Registry()
    registry.add(discover())
    return {one.id: executor.cluster_rights for one, executor, _ in registry.all() if executor is not None}
