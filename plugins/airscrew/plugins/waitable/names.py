"""
Which executions a task waits for: those that its ``custom`` and its inputs hold as ``flyteidl.plugins.Waitable``. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airscrew.engine.errors import PermanentError
from airscrew.idl.errors import UsageError
from airscrew.idl.ids import ExecutionId
from airscrew.idl.json_tree import is_array, is_object
from airscrew.idl.literals import to_json
from airscrew.idl.struct_fields import CustomFieldError, decode_custom

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal
    from flyteidl.plugins.waitable_pb2 import Waitable

FLYTE_NAMESPACE = "{project}-{domain}"
"""Where Flyte runs the executions of a project and domain."""


@dataclass(frozen=True, slots=True)
class Home:
    """
    Where the names of a task are looked for.

    Attributes:
        namespace: Of the task itself: for names without a project.
        pattern: For the others, with ``{project}`` and ``{domain}``.
    """

    namespace: str
    pattern: str = FLYTE_NAMESPACE


def awaited_by(custom: Mapping[str, object], inputs: Mapping[str, Literal], home: Home) -> list[str]:
    """
    List the executions, as ``namespace/name``, each once, in order.

    Raises:
        PermanentError: There are none, or one is named in a way that no execution is.
    """
    messages = [*_in_custom(custom), *(found for name in sorted(inputs) for found in _in_json(to_json(inputs[name])))]
    names = list(dict.fromkeys(_name_of(one, home) for one in messages))
    if not names:
        raise _bad("the task names no execution: set custom.wfExecId, or give it as an input")
    return names


def _in_custom(custom: Mapping[str, object]) -> Iterator[Waitable]:
    from flyteidl.plugins.waitable_pb2 import Waitable

    if custom:
        try:
            yield decode_custom(custom, Waitable)
        except CustomFieldError as error:
            raise _bad(str(error)) from error


def _in_json(value: object) -> Iterator[Waitable]:
    """Find them in an input, however deep; what is none is left alone."""
    if is_array(value):
        for part in value:
            yield from _in_json(part)
    elif is_object(value):
        found = _as_waitable(value)
        if found is not None:
            yield found
        else:
            for key in sorted(value):
                yield from _in_json(value[key])


def _as_waitable(fields: Mapping[str, object]) -> Waitable | None:
    from flyteidl.plugins.waitable_pb2 import Waitable

    try:
        found = decode_custom(fields, Waitable)
    except CustomFieldError:
        return None
    return found if found.wf_exec_id.name else None


def _name_of(message: Waitable, home: Home) -> str:
    named = message.wf_exec_id
    if not named.name:
        raise _bad("custom.wfExecId.name is empty: name the execution to wait for")
    namespace = home.namespace
    if named.project or named.domain:
        namespace = home.pattern.replace("{project}", named.project).replace("{domain}", named.domain)
    try:
        return str(ExecutionId.parse(named.name, namespace))
    except UsageError as error:
        raise _bad(f"the execution {named.name!r} cannot be waited for: {error}") from error


def _bad(message: str) -> PermanentError:
    return PermanentError(message, code="BadTaskSpecification")
