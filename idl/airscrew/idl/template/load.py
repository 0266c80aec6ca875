"""
From the bytes of a file to the task templates in it.

Whatever the bytes are, the outcome is templates (perhaps none, with what was skipped and why) or one
``UsageError`` of one line. Read are, for Flyte 1 and Flyte 2: a serialized ``core.TaskTemplate`` or
``TaskSpec``, the JSON or YAML of either, and a package as ``pyflyte package`` writes it.

The functions open no file: the caller reads it, and walks through folders.
"""

from __future__ import annotations

from airscrew.idl.errors import UsageError
from airscrew.idl.template import read_binary, read_package, read_text
from airscrew.idl.template.loaded import Distribution, Loaded, LoadedTemplate, Skipped
from airscrew.idl.template.task_template import MAX_TEMPLATE_BYTES, TaskTemplate

__all__ = ["Distribution", "Loaded", "LoadedTemplate", "Skipped", "load_one", "load_templates"]

_MAX_FILE_BYTES = 8 * MAX_TEMPLATE_BYTES
"""A file of one template may be larger than the template: JSON is, and a TaskSpec carries prose."""

_TEXT = (".json", ".yaml", ".yml")


def load_templates(data: bytes, name: str = "the template") -> Loaded:
    """
    Read all task templates of a file.

    Args:
        data: The file's bytes.
        name: The file's name: stands in errors, and its ending says what to look for when it is known.

    Raises:
        UsageError: There is nothing to run in it; says what was tried.
    """
    if data.startswith(read_package.GZIP_MAGIC):
        return read_package.read_package(data, name)
    if len(data) > _MAX_FILE_BYTES:
        raise UsageError(f"{name} has {len(data):,} bytes and a task template at most {MAX_TEMPLATE_BYTES:,}")
    if name.lower().endswith(_TEXT):
        return read_text.read_text(data, name)
    found = read_binary.read_binary(data, name)
    if found is not None:
        return found
    if read_text.looks_like_text(data):
        return read_text.read_text(data, name)
    raise UsageError(
        f"{name} is not a task template: tried flyteidl.core.TaskTemplate, flyteidl.admin.TaskSpec, "
        f"flyteidl2.core.TaskTemplate and flyteidl2.task.TaskSpec (binary), JSON, YAML and tgz{read_binary.untried()}"
    )


def load_one(data: bytes, name: str = "the template", task: str = "") -> TaskTemplate:
    """
    Read the one task template of a file.

    Args:
        data: The file's bytes.
        name: The file's name.
        task: The task to take when the file holds several: its name, or the end of it after a dot.

    Raises:
        UsageError: There is none, or which one is not clear.
    """
    loaded = load_templates(data, name)
    named = [one.template for one in loaded.templates if _is_called(one.template.name, task)]
    if len(named) == 1:
        return named[0]
    names = ", ".join(sorted(one.template.name for one in loaded.templates))
    if not loaded.templates:
        reasons = "; ".join(f"{skipped.source} {skipped.reason}" for skipped in loaded.skipped)
        raise UsageError(f"{name} holds no task: {reasons}")
    if task and not named:
        raise UsageError(f"{name} holds no task {task!r}, only: {names}")
    raise UsageError(f"{name} holds several tasks, name one of: {names}")


def _is_called(name: str, task: str) -> bool:
    return not task or name == task or name.endswith(f".{task}")
