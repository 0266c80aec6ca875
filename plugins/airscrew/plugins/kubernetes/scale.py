"""
How many Pods a Deployment has, set from inside the cluster.

    python -m airscrew.plugins.kubernetes.scale NAMESPACE NAME REPLICAS

For the chart's hook, which ends the engines before what they hold is let go of; it does not wait for them, since
``airscrew release`` does. It takes the right to patch ``deployments/scale``. A Deployment that is not there has none,
which is what was asked for when REPLICAS is 0.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

import msgspec

from airscrew.engine.errors import ExecutorError
from airscrew.plugins.kubernetes.api.client import NOT_FOUND
from airscrew.plugins.kubernetes.api.connection import ClusterConfig, Connection, open_connection
from airscrew.plugins.kubernetes.api.errors import refusal_of
from airscrew.plugins.kubernetes.api.kinds import Kind

DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")


async def scale(connection: Connection, namespace: str, name: str, replicas: int) -> None:
    """
    Set how many Pods a Deployment has.

    Raises:
        ExecutorError: The API server refuses.
        OSError: It could not be asked.
    """
    path = DEPLOYMENT.path(namespace, name, "scale")
    body = msgspec.json.encode({"spec": {"replicas": replicas}})
    reply = await connection.request("PATCH", path, body=body, kind="application/merge-patch+json")
    if not reply.is_good and (reply.status != NOT_FOUND or replicas):
        raise ExecutorError(f"deployment {namespace}/{name} cannot be scaled: {refusal_of(reply).message}")


async def _run(namespace: str, name: str, replicas: int) -> None:
    async with open_connection(ClusterConfig()) as connection:
        await scale(connection, namespace, name, replicas)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Set how many Pods a Deployment has.")
    parser.add_argument("namespace")
    parser.add_argument("name")
    parser.add_argument("replicas", type=int)
    given = parser.parse_args(arguments)
    asyncio.run(_run(given.namespace, given.name, given.replicas))


if __name__ == "__main__":
    main()
