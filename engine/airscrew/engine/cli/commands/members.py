"""``airscrew members`` and ``airscrew shards``."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli import render
from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import output_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airscrew.engine.cli.app import App
    from airscrew.engine.config import EngineSettings
    from airscrew.state.members.look import Membership


@click.command(cls=Command)
@output_option("table", "json", "yaml")
@click.pass_obj
def members(app: App, output: str) -> None:
    """
    List the engines that work on the store.

    Engines that are started with serve on the same etcd share its executions, shard by shard.
    """
    rows = asyncio.run(_members(app.settings()))
    if output != "table":
        click.echo(render.as_data(rows, output))
    elif not rows:
        click.echo("no engine is there")
    else:
        click.echo(render.table(_HEADERS, [_cells(row, app.now()) for row in rows]))


_HEADERS = ("MEMBER", "STATE", "SHARDS", "LEADER", "VERSION", "HOST", "PID", "AGE")


def _cells(row: Mapping[str, object], now: float) -> list[str]:
    leader = "yes" if row["leader"] else ""
    where = [str(row[name]) for name in ("version", "host", "pid")]
    return [str(row["id"]), str(row["state"]), str(row["shards"]), leader, *where, _age(row["joined_at"], now)]


@click.command(cls=Command)
@click.argument("execution", required=False)
@output_option("table", "json", "yaml")
@click.pass_obj
def shards(app: App, execution: str | None, output: str) -> None:
    """
    Show which engine has which shard.

    With an EXECUTION: which shard it is in, and whose that is. A shard without an owner is taken within seconds by one
    of the engines that are there.
    """
    rows = asyncio.run(_shards(app.settings(), execution))
    if output != "table":
        click.echo(render.as_data(rows, output))
    else:
        now = app.now()
        cells = [
            [str(row["shard"]), str(row["owner"]) or "nobody", _age(row["since"], now), str(row["how"])] for row in rows
        ]
        click.echo(render.table(("SHARD", "OWNER", "AGE", "HOW"), cells))


def _age(since: object, now: float) -> str:
    return render.age(since, now) if isinstance(since, float) and since else ""


async def _members(settings: EngineSettings) -> list[dict[str, object]]:
    from airscrew.engine.cli.session import served_by
    from airscrew.idl.ids import SHARDS
    from airscrew.state.members import LEADER

    if settings.keeps_file:
        engine = await served_by(settings)
        if engine is None:
            return []
        return [_alone(settings.store_url, "this machine", engine.pid, engine.version)]
    found = await _read(settings)
    if found.alone is not None:
        return [_alone(settings.store_url, found.alone.host, found.alone.pid, "")]
    counts = Counter(claim.owner for unit, claim in found.claims.items() if unit != LEADER)
    assert sum(counts.values()) <= SHARDS
    return [
        {
            "id": one.id,
            "state": one.life.value,
            "shards": counts[one.id],
            "leader": found.owner(LEADER) == one.id,
            "version": one.version,
            "host": one.process.host,
            "pid": one.process.pid,
            "joined_at": one.joined_at,
            "executors": one.executors,
        }
        for one in sorted(found.members.values(), key=lambda one: one.id)
    ]


def _alone(store: str, host: str, pid: int, version: str) -> dict[str, object]:
    from airscrew.idl.ids import SHARDS

    return {
        "id": f"the engine of {store}",
        "state": "alone",
        "shards": SHARDS,
        "leader": True,
        "version": version,
        "host": host,
        "pid": pid,
        "joined_at": 0.0,
        "executors": {},
    }


async def _shards(settings: EngineSettings, execution: str | None) -> list[dict[str, object]]:
    from airscrew.idl.errors import UsageError
    from airscrew.idl.ids import ExecutionId
    from airscrew.state.members import UNITS, shard_unit

    if settings.keeps_file:
        raise UsageError("the store is a file, which one engine has for itself: shards are shared on etcd alone")
    units = UNITS if execution is None else (shard_unit(ExecutionId.parse(execution).shard),)
    found = await _read(settings)
    rows: list[dict[str, object]] = []
    for unit in units:
        claim, owner = found.claims.get(unit), found.owner(unit)
        how = "" if claim is None or not owner else ("given" if claim.given else "taken")
        rows.append({"shard": unit, "owner": owner, "since": claim.since if claim and owner else 0.0, "how": how})
    return rows


async def _read(settings: EngineSettings) -> Membership:
    from airscrew.state.members.look import read_membership
    from airscrew.state.urls import open_store

    async with open_store(settings.store_url) as store:
        return await read_membership(store)
