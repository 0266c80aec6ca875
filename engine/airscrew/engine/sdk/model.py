"""
What the engine's process and the serializing child say to each other: plain data, JSON-encodable as it is.

Bytes travel as base64, as msgspec has it.
"""

from __future__ import annotations

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What is asked of the child.

    Attributes:
        path: The Python file.
        task: Which of its tasks, by variable, full name or short name; empty to list them.
        inputs: Values by input name: text as typed on a command line, or JSON values; None to be given the task's
            default inputs only, without a check for missing ones.
        project: Of the task's identity.
        domain: Of the task's identity.
        version: Of the task's identity; part of what names it in a cache.
        org: Of the task's identity (Flyte 2 needs one).
        image: The container image to name in the template.
        bundle_folder: Where to put an archive of the source (fast registration, flytekit alone); empty to run the
            source where it lies.
    """

    path: str
    task: str = ""
    inputs: dict[str, object] | None = None
    project: str = "airscrew"
    domain: str = "development"
    version: str = "local"
    org: str = "local"
    image: str = "example.invalid/local:local"
    bundle_folder: str = ""


class Variable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    An input or output as its author wrote it.

    Attributes:
        name: Of the variable.
        type: The Python type, as ``list[int]``.
        required: Whether a caller has to give it.
        default: What it is otherwise, as Python writes it; empty for none.
    """

    name: str
    type: str
    required: bool = True
    default: str = ""


class FoundTask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A task of a file.

    Attributes:
        variable: The module's variable that holds it: what a person types.
        name: Its full name.
        task_type: What picks its executor.
    """

    variable: str
    name: str
    task_type: str


class SerializedTask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A task in the wire form of its SDK, and what its process needs besides.

    Attributes:
        template: ``core.TaskTemplate`` (flyte1) or ``task.TaskSpec`` (flyte2).
        wire: ``flyte1`` or ``flyte2``.
        name: The task's full name.
        task_type: What picks its executor.
        inputs: Its interface.
        outputs: Its interface.
        literals: ``core.LiteralMap`` (flyte1) or ``task.Inputs`` (flyte2): the inputs of the request over the task's
            defaults.
        pythonpath: Folders that its process needs on its import path.
        environment: Variables that its process needs, the import path among them; no secrets.
    """

    template: bytes
    wire: str
    name: str
    task_type: str
    inputs: tuple[Variable, ...] = ()
    outputs: tuple[Variable, ...] = ()
    literals: bytes = b""
    pythonpath: tuple[str, ...] = ()
    environment: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What the child says: the tasks of the file, one of them serialized, or what is wrong with the request.

    Attributes:
        tasks: All tasks of the file, in the order of their definition; empty when one was asked for.
        task: The one asked for.
        error: One line for the user; nothing else is set then.
    """

    tasks: tuple[FoundTask, ...] = ()
    task: SerializedTask | None = None
    error: str = ""
