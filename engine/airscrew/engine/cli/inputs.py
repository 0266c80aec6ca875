"""
What is to be run, made ready from what was typed: a template with its inputs, checked against each other.

Nothing is stored, and every complaint is one line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from airscrew.idl.errors import UsageError

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal

    from airscrew.engine.config import EngineSettings
    from airscrew.idl.template import LoadedTemplate, TaskTemplate, Variable

MAX_FILE_BYTES = 512 * 1024 * 1024
"""Larger files are not read at all."""

_TEXT = (".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """
    A task that is ready to be submitted.

    Attributes:
        template: Its bytes.
        wire: ``flyte1`` or ``flyte2``.
        name: Of the task.
        inputs: A LiteralMap or Inputs.
        input_uri: Where the inputs lie instead.
        environment: Variables that its process needs.
        code: The code that belongs to it, and where it is to lie; written by ``place_code``.
    """

    template: bytes
    wire: str
    name: str
    inputs: bytes = b""
    input_uri: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    code: tuple[Path, bytes] | None = None

    def place_code(self) -> None:
        """Put the code where the template looks for it; the place is named by its content."""
        if self.code is not None:
            place, data = self.code
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)


async def prepare_python(file: str, task: str, values: Mapping[str, object], *, inputs: str = "") -> Prepared:
    """
    Make a task of a Python source ready, with the SDK that it uses.

    Args:
        file: The source.
        task: Which of its tasks.
        values: Inputs as text, over those of the file.
        inputs: A file of inputs in JSON or YAML.

    Raises:
        UsageError: The file, the task or an input is wrong.
    """
    from airscrew.engine.sdk.child import serialize
    from airscrew.engine.sdk.model import Request
    from airscrew.idl.template import load_one

    if inputs and not inputs.lower().endswith(_TEXT):
        raise UsageError(f"--inputs {inputs}: for a Python task give a JSON or YAML file")
    values = {**(_mapping(read_bytes(inputs), inputs) if inputs else {}), **values}
    made = await serialize(Request(path=file, task=task, inputs=dict(values)))
    template = load_one(made.template, file)
    return Prepared(
        template=template.raw,
        wire=str(template.wire),
        name=made.name,
        inputs=made.literals,
        environment=made.environment,
    )


def prepare_template(
    file: str, settings: EngineSettings, *, task: str = "", inputs: str = "", pairs: Mapping[str, str]
) -> Prepared:
    """
    Make a serialized template ready.

    Args:
        file: TaskTemplate or TaskSpec in any form, or a package.
        settings: Say where the code of a package goes.
        task: Which task of a package.
        inputs: A file of inputs, or a URI.
        pairs: Single inputs as text; over those of the file.

    Raises:
        UsageError: The template or an input is wrong.
    """
    found, code = read_template(file, settings, task)
    template = found.template
    if "://" in inputs:
        if pairs:
            raise UsageError("--input and an input URI do not go together: give one of them")
        literals, uri = {}, inputs
    else:
        literals, uri = dict(found.default_inputs) | (_from_file(inputs, template) if inputs else {}), ""
        literals |= _from_pairs(pairs, template)
    return Prepared(
        template=template.raw,
        wire=str(template.wire),
        name=template.name,
        inputs=b"" if uri else _encoded(literals, template),
        input_uri=uri,
        code=code,
    )


def read_template(
    file: str, settings: EngineSettings, task: str = ""
) -> tuple[LoadedTemplate, tuple[Path, bytes] | None]:
    """
    Read the one template of a file, and the code that a package brings along with where it is to lie.

    Raises:
        UsageError: There is no template, or which one is not clear.
    """
    from msgspec.structs import replace

    from airscrew.idl.template import load_one, load_templates, registered

    data = read_bytes(file)
    loaded = load_templates(data, file)
    chosen = load_one(data, file, task) if len(loaded.templates) != 1 or task else loaded.templates[0].template
    found = next(one for one in loaded.templates if one.template == chosen)
    if loaded.distribution is None:
        return found, None
    version = hashlib.sha256(loaded.distribution.data).hexdigest()[:16]
    place = settings.home_path / "packages" / f"{version}.tar.gz"
    made = registered(chosen, project="airscrew", domain="development", version=version, distribution=place.as_uri())
    return replace(found, template=made), (place, loaded.distribution.data)


def read_bytes(file: str) -> bytes:
    """
    Read a file that was named.

    Raises:
        UsageError: It cannot be read.
    """
    path = Path(file).expanduser()
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(f"{file} has more than {MAX_FILE_BYTES:,} bytes: it is no template and no inputs")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _from_file(file: str, template: TaskTemplate) -> dict[str, Literal]:
    from airscrew.idl.literals import decode_literal_map, from_json
    from airscrew.idl.wire import WireError

    data = read_bytes(file)
    if not file.lower().endswith(_TEXT):
        try:
            return decode_literal_map(data, template.wire)
        except WireError as error:
            raise UsageError(f"{file} holds no inputs: {error}") from error
    values = _mapping(data, file)
    known = template.interface.inputs
    _check_known(values, known)
    folder = str(Path(file).expanduser().absolute().parent)
    return {name: from_json(value, known[name].type, name, base_dir=folder) for name, value in values.items()}


def _mapping(data: bytes, file: str) -> Mapping[str, object]:
    import yaml

    try:
        values = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is neither JSON nor YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(f"{file} must hold inputs by name, as x: 3")
    return {str(name): value for name, value in cast("Mapping[object, object]", values).items()}


def _from_pairs(pairs: Mapping[str, str], template: TaskTemplate) -> dict[str, Literal]:
    from airscrew.idl.literals import from_text

    known = template.interface.inputs
    _check_known(pairs, known)
    folder = str(Path.cwd())
    return {name: from_text(text, known[name].type, name, base_dir=folder) for name, text in pairs.items()}


def _check_known(given: Mapping[str, object], known: Mapping[str, Variable]) -> None:
    import difflib

    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the task takes {describe_inputs(known) or 'none'}"
            raise UsageError(f"there is no input {name!r}; {hint}")


def describe_inputs(known: Mapping[str, Variable]) -> str:
    """Say which inputs there are, with their types, in one line."""
    from airscrew.idl.literals import type_name

    return ", ".join(f"{name}: {type_name(variable.type)}" for name, variable in known.items())


def _encoded(literals: Mapping[str, Literal], template: TaskTemplate) -> bytes:
    from airscrew.idl.literals import check_inputs, encode_literal_map

    known = template.interface.inputs
    wrong = check_inputs(known, literals)
    if wrong:
        raise UsageError("; ".join(f"input {complaint}" for complaint in wrong))
    return encode_literal_map({name: literals[name] for name in known}, template.wire) if literals else b""


def task_values(words: Sequence[str]) -> dict[str, object]:
    """
    Read a task's options: ``--x 3``, ``--x=3``, ``--flag`` and ``--no-flag``; a value may begin with one dash.

    Raises:
        UsageError: Something is no option.
    """
    values: dict[str, object] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            raise UsageError(f"{word!r} is no option of the task: give inputs as --NAME VALUE")
        name, equals, text = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if equals:
            values[name] = text
        elif rest and not rest[0].startswith("--"):
            values[name] = rest.pop(0)
        elif name.startswith("no_"):
            values[name.removeprefix("no_")] = "false"
        else:
            values[name] = "true"
    return values


def is_python(target: str) -> bool:
    """Tell whether a target is a Python source."""
    return target.endswith(".py")
