"""
Tasks that tests run as Pods, and what has to be in a namespace so that they can: code, and the way to S3.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyteidl.core import interface_pb2, literals_pb2, tasks_pb2, types_pb2
from tests.support.aging import aging_task
from tests.support.object_stores import ObjectStore

SDK = Path(__file__).resolve().parents[1] / "sdk"
PLAIN = '''
"""Adds one, once it may, and writes the sum where outputs lie: without any SDK."""
import asyncio, sys
from flyteidl.core.literals_pb2 import LiteralMap
from airscrew.engine.data.leaving import leave
from airscrew.engine.data.storage import Storage

async def main(x, until, prefix):
    outputs = LiteralMap()
    outputs.literals["o0"].scalar.primitive.integer = x + 1
    async with Storage() as storage:
        while until and not await storage.exists(until):
            await asyncio.sleep(1.0)
        await storage.write(f"{prefix}/outputs.pb", outputs.SerializeToString())

asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
leave(0)
'''


def integers(**values: int) -> bytes:
    """Write inputs."""
    literals = literals_pb2.LiteralMap()
    for name, value in values.items():
        literals.literals[name].scalar.primitive.integer = value
    return literals.SerializeToString()


def flytekit_task(task: str) -> bytes:
    """Serialise a task of ``flows.plain`` as flytekit registers it."""
    sys.path.insert(0, str(SDK))
    try:
        import harness

        made: bytes = harness.serialize(getattr(harness.load("flows.plain"), task))
        return made
    finally:
        sys.path.remove(str(SDK))


def plain_task(until: str = "") -> bytes:
    """A Python program in a container: from x it makes o0, one more, as soon as there is a file; empty for at once."""
    integer = types_pb2.LiteralType(simple=types_pb2.INTEGER)
    template = tasks_pb2.TaskTemplate(type="container")
    template.id.name = "plain"
    template.metadata.retries.retries = 0
    template.interface.CopyFrom(
        interface_pb2.TypedInterface(
            inputs=interface_pb2.VariableMap(variables={"x": interface_pb2.Variable(type=integer)}),
            outputs=interface_pb2.VariableMap(variables={"o0": interface_pb2.Variable(type=integer)}),
        )
    )
    template.container.image = "none"
    template.container.command.extend(["python3", "-m", "flows.double"])
    template.container.args.extend(["{{.inputs.x}}", until, "{{.outputPrefix}}"])
    made: bytes = template.SerializeToString()
    return made


@dataclass(frozen=True)
class Job:
    """
    A task that is submitted.

    Attributes:
        name: Of its execution.
        template: What runs.
        x: Its input; its output is one more. None when it has neither.
    """

    name: str
    template: bytes
    x: int | None

    @property
    def inputs(self) -> bytes:
        """As a submission has them."""
        return b"" if self.x is None else integers(x=self.x)

    @property
    def outputs(self) -> dict[str, int]:
        """What it is to come to."""
        return {} if self.x is None else {"o0": self.x + 1}


def flytekit_jobs(count: int, prefix: str) -> list[Job]:
    """Tasks of flytekit."""
    template = flytekit_task("add_one")
    return [Job(f"{prefix}-{number}", template, number) for number in range(count)]


def plain_jobs(count: int, prefix: str, until: str = "") -> list[Job]:
    """Plain Python programs, which run until there is a file; empty for no longer than they have to."""
    template = plain_task(until)
    return [Job(f"{prefix}-{number}", template, number) for number in range(count)]


def aging_jobs(count: int, prefix: str) -> list[Job]:
    """Tasks that end when a newer version of their executor has their state."""
    return [Job(f"{prefix}-{number}", aging_task(), None) for number in range(count)]


def site_manifests(store: ObjectStore) -> Sequence[dict[str, Any]]:
    """What a namespace of tasks needs: the code ``flows``, the Secret ``s3``, and the PodTemplate ``code``."""
    code = {
        "plain.py": (SDK / "flows" / "plain.py").read_text(),
        "double.py": PLAIN,
        "__init__.py": '"""Tasks."""\n',
    }
    container = {
        "name": "default",
        "image": "none",
        "env": [{"name": "PYTHONPATH", "value": "/code"}],
        "volumeMounts": [{"name": "code", "mountPath": "/code/flows"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "code", "configMap": {"name": "code"}}]}
    return (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, "data": code},
        storage_secret(store),
        {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "code"}, "template": {"spec": spec}},
    )


def storage_secret(store: ObjectStore) -> dict[str, Any]:
    """The way to S3, as a Secret."""
    data = {name: value for name, value in store.environ.items() if name.startswith("FLYTE_")}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "stringData": data}
