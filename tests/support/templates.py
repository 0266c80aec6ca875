"""Small task templates, built by hand."""

from __future__ import annotations

from pathlib import Path

from flyteidl.core import identifier_pb2, interface_pb2, tasks_pb2, types_pb2

SIMPLE = {
    "int": types_pb2.SimpleType.INTEGER,
    "str": types_pb2.SimpleType.STRING,
    "bool": types_pb2.SimpleType.BOOLEAN,
}


def variables(types: dict[str, str]) -> interface_pb2.VariableMap:
    made = {
        name: interface_pb2.Variable(type=types_pb2.LiteralType(simple=SIMPLE[kind])) for name, kind in types.items()
    }
    return interface_pb2.VariableMap(variables=made)


def echo_template(
    inputs: dict[str, str] | None = None, *, name: str = "demo.echo", task_type: str = "echo"
) -> tasks_pb2.TaskTemplate:
    interface = interface_pb2.TypedInterface(
        inputs=variables(inputs or {}),
        outputs=variables({f"o{i}": kind for i, kind in enumerate((inputs or {}).values())}),
    )
    identity = identifier_pb2.Identifier(
        resource_type=identifier_pb2.TASK, project="p", domain="d", name=name, version="1"
    )
    return tasks_pb2.TaskTemplate(id=identity, type=task_type, metadata=tasks_pb2.TaskMetadata(), interface=interface)


def write_template(path: Path, inputs: dict[str, str] | None = None, **options: str) -> Path:
    path.write_bytes(echo_template(inputs, **options).SerializeToString())
    return path
