"""
Templates in JSON and YAML.

Both are read into the same plain tree, so that a YAML file can say what a JSON file can and
nothing else. Which message it is shows in its keys: ``template`` wraps a Flyte 1 template, ``taskTemplate`` one of
Flyte 2, and a bare template has ``type`` and ``id``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from airscrew.idl.errors import UsageError
from airscrew.idl.json_tree import is_array, is_object
from airscrew.idl.struct_fields import explain_parse_error
from airscrew.idl.template.loaded import Loaded, LoadedTemplate
from airscrew.idl.template.read_binary import from_flyte2_spec, is_task, skipped_workflow, wire_form
from airscrew.idl.template.task_template import template_from_message
from airscrew.idl.wire import WireForm, flyte2_module

if TYPE_CHECKING:
    from google.protobuf.message import Message

_Tree = Mapping[str, object]

_MAX_NODES = 100_000
"""Bounds what the aliases of a YAML file can grow into."""

_MAX_DEPTH = 100
"""As deep as protobuf itself reads."""


def looks_like_text(data: bytes) -> bool:
    """Tell whether bytes of unknown kind are worth reading as JSON or YAML."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return bool(text.strip()) and all(letter.isprintable() or letter in "\r\n\t" for letter in text)


def read_text(data: bytes, source: str) -> Loaded:
    """
    Read a template, a TaskSpec, or see that it is a workflow.

    Raises:
        UsageError: It is none of these; names the field.
    """
    tree = _tree(data, source)
    nested, nested2 = tree.get("template"), tree.get("taskTemplate", tree.get("task_template"))
    if is_object(nested):
        if "nodes" in nested:
            identity = nested.get("id")
            name = str(identity.get("name", "")) if is_object(identity) else ""
            return Loaded(skipped=(skipped_workflow(source, name),))
        return _one(_flyte1_spec(tree, source))
    if is_object(nested2):
        return _one(_flyte2_spec(tree, source))
    if "type" in tree and "id" in tree:
        return _one(_bare(tree, source))
    raise UsageError(
        f"{source} is not a task template: it has neither 'type' and 'id' (a TaskTemplate) "
        "nor 'template' or 'taskTemplate' (a TaskSpec)"
    )


def _one(template: LoadedTemplate) -> Loaded:
    return Loaded(templates=(template,))


def _flyte1_spec(tree: _Tree, source: str) -> LoadedTemplate:
    from flyteidl.admin.task_pb2 import TaskSpec

    template = _parsed(tree, TaskSpec, source).template
    return _loaded(template, wire_form(template), source, "flyteidl.admin.TaskSpec")


def _flyte2_spec(tree: _Tree, source: str) -> LoadedTemplate:
    spec = _parsed(tree, flyte2_module("task.task_definition_pb2").TaskSpec, source)
    _check_task(spec.task_template, source)
    return from_flyte2_spec(spec, source, "text")


def _bare(tree: _Tree, source: str) -> LoadedTemplate:
    from flyteidl.core.tasks_pb2 import TaskTemplate

    if not _has_listed_variables(tree):
        try:
            template = _parsed(tree, TaskTemplate, source)
        except UsageError as as_flyte1:
            return _bare_flyte2(tree, source, as_flyte1)
        if wire_form(template) is WireForm.FLYTE1:
            return _loaded(template, WireForm.FLYTE1, source, "flyteidl.core.TaskTemplate")
    return _bare_flyte2(tree, source, None)


def _bare_flyte2(tree: _Tree, source: str, as_flyte1: UsageError | None) -> LoadedTemplate:
    """Read a bare template of Flyte 2; when it is none either, the complaint of Flyte 1 is the better one."""
    try:
        template = _parsed(tree, flyte2_module("core.tasks_pb2").TaskTemplate, source)
    except UsageError as as_flyte2:
        raise (as_flyte1 or as_flyte2) from None
    return _loaded(template, WireForm.FLYTE2, source, "flyteidl2.core.TaskTemplate")


def _has_listed_variables(tree: _Tree) -> bool:
    """Tell a Flyte 2 interface: its variables are a list, those of Flyte 1 a map."""
    interface = tree.get("interface")
    sides = interface.values() if is_object(interface) else ()
    return any(is_object(side) and is_array(side.get("variables")) for side in sides)


def _loaded(template: Message, wire: WireForm, source: str, form: str) -> LoadedTemplate:
    _check_task(template, source)
    return LoadedTemplate(template=template_from_message(template, wire), source=source, form=f"{form} (text)")


def _check_task(template: Message, source: str) -> None:
    if not is_task(template):
        raise UsageError(f"{source} is not a task template: it needs a type and an id with a name, of a TASK")


def _parsed(tree: _Tree, message_type: type[Message], source: str) -> Any:  # noqa: ANN401 - generated code
    from google.protobuf.json_format import ParseDict, ParseError

    try:
        return ParseDict(dict(tree), message_type())
    except (ParseError, ValueError, TypeError, AttributeError) as error:
        field, problem = explain_parse_error(str(error))
        where = f" field {field}:" if field else ""
        raise UsageError(f"{source} is not a {message_type.DESCRIPTOR.full_name}:{where} {problem}") from None


def _tree(data: bytes, source: str) -> _Tree:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{source} is neither JSON nor YAML: it is not UTF-8 text") from None
    tree = _json_tree(text) if text.lstrip()[:1] == "{" else None
    if tree is None:
        tree = _yaml_tree(text, source)
    if not is_object(tree):
        raise UsageError(f"{source} is not a task template: it holds no object of fields")
    _check_plain(tree, source)
    return tree


def _json_tree(text: str) -> object | None:
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError):
        return None  # YAML may still read it, and says better what is wrong and where


def _yaml_tree(text: str, source: str) -> object:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if _is_too_deep(text, loader):
            raise UsageError(f"{source} is nested deeper than {_MAX_DEPTH} levels")
        return cast("object", yaml.load(text, Loader=loader))  # noqa: S506 - one of the safe ones
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        problem = getattr(error, "problem", None) or "it cannot be read"
        mark = getattr(error, "problem_mark", None)
        last_line = text.rstrip().count("\n") + 1
        where = f" in line {min(mark.line + 1, last_line)}" if mark is not None else ""
        raise UsageError(f"{source} is neither JSON nor YAML: {' '.join(str(problem).split())}{where}") from None


def _is_too_deep(text: str, loader: Any) -> bool:  # noqa: ANN401 - either of two classes without a common base
    """Look at the nesting by events alone: the fast loader recurses in C, and deep nesting would kill the process."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            return True
    return False


def _check_plain(tree: object, source: str) -> None:
    """Refuse what JSON has no word for, and what grows without bound."""
    for count, node in enumerate(_nodes(tree)):
        if count >= _MAX_NODES:
            raise UsageError(f"{source} is too large: more than {_MAX_NODES:,} values")
        odd = [key for key in node if type(key) is not str] if is_object(node) else []
        if odd:
            raise UsageError(f"{source}: the key {odd[0]!r} is not a string, put it in quotes")
        if not (is_object(node) or isinstance(node, list | str | int | float | None)):
            raise UsageError(f"{source}: {node!s:.60} is a {type(node).__name__} to YAML, put it in quotes")


def _nodes(tree: object) -> Iterator[object]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if is_object(node):
            waiting.extend(node.values())
        elif is_array(node):
            waiting.extend(node)
