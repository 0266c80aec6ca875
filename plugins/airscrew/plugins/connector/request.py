"""
What is sent to make a job: the template with its variables filled in, and who asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airscrew.engine.executor import TaskContext
from airscrew.idl.template import TargetKind, TaskTemplate
from airscrew.plugins.connector.state import ConnectorState
from airscrew.plugins.connector.statements import BINDINGS, bound
from airscrew.plugins.connector.wire import Call, Connection
from airscrew.plugins.sql_text import rendered, scan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteidl.core.literals_pb2 import LiteralMap

KEY_LABEL = "airscrew.dev/key"
"""The label and the variable's neighbour that carry the attempt's key: a connector makes one job of one key."""

KEY_VARIABLE = "AIRSCREW_ATTEMPT_KEY"


async def build_call(context: TaskContext[ConnectorState], template: TaskTemplate, connection: Connection) -> Call:
    """
    Put together what is said of an attempt.

    Raises:
        PermanentError: A template variable or an input cannot be had.
        StorageUnavailableError: The inputs cannot be read at the moment.
    """
    inputs = await context.inputs()
    return Call(
        template=await _rendered(context, template, inputs),
        inputs=inputs,
        output_prefix=context.locations.output_prefix,
        metadata=_metadata(context),
        connection=connection,
    )


async def _rendered(context: TaskContext[ConnectorState], template: TaskTemplate, inputs: LiteralMap) -> bytes:
    """Fill in the variables of a command and of a statement; an SDK's connectors fill in the others."""
    if template.target is TargetKind.SQL:
        return await _bound(context, template, inputs)
    if template.target not in {TargetKind.CONTAINER, TargetKind.K8S_POD}:
        return template.raw
    await context.place_inputs()
    message: Any = type(template.own_message)()
    message.CopyFrom(template.own_message)
    lists = list(_texts(message))
    flat = [str(text) for texts in lists for text in texts]
    rendered = iter(await context.render(flat))
    for texts in lists:
        for index in range(len(texts)):
            texts[index] = next(rendered)
    return bytes(message.SerializeToString(deterministic=True))


async def _bound(context: TaskContext[ConnectorState], template: TaskTemplate, inputs: LiteralMap) -> bytes:
    """Write the inputs of a statement as parameters; one without variables is left as it is, to the byte."""
    statement = template.sql.statement if template.sql is not None else ""
    if "{{" not in statement or template.type not in BINDINGS:
        return template.raw
    binding = BINDINGS[template.type]
    parts = await rendered(context, scan(statement, binding.dialect))
    message: Any = type(template.own_message)()
    message.CopyFrom(template.own_message)
    message.sql.statement = bound(binding, parts, inputs)
    return bytes(message.SerializeToString(deterministic=True))


def _texts(message: Any) -> Iterator[Any]:  # noqa: ANN401 - generated code
    """Give each list of texts of a container's command line, to be changed in place."""
    if message.HasField("container"):
        yield message.container.command
        yield message.container.args
        return
    spec = message.k8s_pod.pod_spec
    for part in ("initContainers", "containers"):
        if part not in spec:  # a Struct has no get
            continue
        for container in spec[part]:
            yield from (container[name] for name in ("command", "args") if name in container)


def _metadata(context: TaskContext[ConnectorState]) -> dict[str, object]:
    """Say who asks, as a propeller would; and the key, in two places that connectors can see."""
    execution = {
        "project": context.task_id.get("project", ""),
        "domain": context.task_id.get("domain", ""),
        "name": context.execution.name,
    }
    return {
        "taskExecutionId": {
            "taskId": {"resourceType": "TASK", **{name: value for name, value in context.task_id.items() if value}},
            "nodeExecutionId": {"nodeId": "n0", "executionId": execution},
            "retryAttempt": context.attempt,
        },
        "namespace": context.namespace,
        "labels": {**context.labels, KEY_LABEL: context.key},
        "annotations": dict(context.annotations),
        "k8sServiceAccount": context.service_account,
        "environmentVariables": {**context.environment, KEY_VARIABLE: context.key},
        "maxAttempts": context.max_attempts,
        "interruptible": context.interruptible,
    }
