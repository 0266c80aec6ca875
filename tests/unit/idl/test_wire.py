"""
The two wire forms are the same where the engine takes them for the same. A release of either
package that breaks this breaks these tests, not a user's task.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from flyteidl.core.errors_pb2 import ErrorDocument
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.tasks_pb2 import TaskMetadata, TaskTemplate
from flyteidl2.core import execution_pb2
from flyteidl2.core import literals_pb2 as literals2
from flyteidl2.core import tasks_pb2 as tasks2
from google.protobuf.descriptor import Descriptor

from airscrew.idl.errors import UsageError
from airscrew.idl.template.read_binary import FLYTE2_ONLY
from airscrew.idl.wire import WireError, WireForm, flyte2_module, parse_message

SHARED = [
    (TaskTemplate.DESCRIPTOR, tasks2.TaskTemplate.DESCRIPTOR),
    (LiteralMap.DESCRIPTOR, literals2.LiteralMap.DESCRIPTOR),
    (ErrorDocument.DESCRIPTOR, execution_pb2.ErrorDocument.DESCRIPTOR),
]


def pairs(first: Descriptor, second: Descriptor, seen: set[str]) -> Iterator[tuple[Descriptor, Descriptor]]:
    """Walk two trees of messages along the fields that both have."""
    if first.full_name in seen:
        return
    seen.add(first.full_name)
    yield first, second
    for field in first.fields:
        other = second.fields_by_number.get(field.number)
        if field.message_type is not None and other is not None:
            yield from pairs(field.message_type, other.message_type, seen)


@pytest.mark.parametrize(("flyte1", "flyte2"), SHARED)
def test_a_field_that_both_forms_have_is_the_same_on_the_wire(flyte1, flyte2):
    for first, second in pairs(flyte1, flyte2, set()):
        for other in second.fields:
            field = first.fields_by_number.get(other.number)
            if field is not None:
                assert (field.name, field.type, field.is_repeated) == (other.name, other.type, other.is_repeated)


@pytest.mark.parametrize(
    ("path", "flyte1", "flyte2"),
    [("", TaskTemplate, tasks2.TaskTemplate), ("metadata", TaskMetadata, tasks2.TaskMetadata)],
)
def test_the_fields_of_flyte_2_alone_are_listed(path, flyte1, flyte2):
    newer = set(flyte2.DESCRIPTOR.fields_by_number) - set(flyte1.DESCRIPTOR.fields_by_number)

    assert newer == FLYTE2_ONLY[path]


def test_bytes_that_are_no_message_are_named_with_their_length():
    with pytest.raises(WireError, match=r"^the inputs is not a flyteidl.core.LiteralMap \(3 bytes\)$"):
        parse_message(LiteralMap, b"\xff\xff\xff", "the inputs")


@pytest.mark.usefixtures("without_flyte2")
def test_flyte_2_that_is_not_installed_says_how_to_install_it():
    with pytest.raises(UsageError, match=r"pip install airscrew\[flyte2\]$"):
        flyte2_module("core.tasks_pb2")


def test_a_module_that_breaks_inside_flyte_2_is_not_taken_for_a_missing_one(monkeypatch):
    def fail(name: str) -> object:
        raise ModuleNotFoundError("No module named 'buf'", name="buf")

    monkeypatch.setattr("airscrew.idl.wire.import_module", fail)

    with pytest.raises(ModuleNotFoundError, match="buf"):
        flyte2_module("core.tasks_pb2")


def test_the_wire_form_is_stored_as_a_word():
    assert [form.value for form in WireForm] == ["flyte1", "flyte2"]


def test_importing_the_nouns_imports_nothing_heavy():
    program = (
        "import sys, airscrew.idl.template, airscrew.idl.literals, airscrew.idl.struct_fields\n"
        "print([name for name in ('google.protobuf', 'flyteidl', 'flyteidl2', 'grpc', 'yaml', 'tarfile')"
        " if name in sys.modules])"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
