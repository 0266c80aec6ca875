"""
The wire of inputs.pb and outputs.pb: ``core.LiteralMap`` of Flyte 1, ``task.Inputs`` and ``Outputs`` of Flyte 2.

Literals themselves are the same on both wires; the maps are too, but for the order and for the context that Flyte 2
sends along with inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airscrew.idl.wire import WireError, WireForm, canonical_bytes, flyte2_module, parse_message

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal


def encode_literal_map(
    literals: Mapping[str, Literal], wire: WireForm, *, context: Mapping[str, str] | None = None
) -> bytes:
    """
    Encode inputs or outputs; equal maps in one order give equal bytes.

    Args:
        literals: By variable name; Flyte 2 keeps the order.
        wire: The form of the task that they are for.
        context: What Flyte 2 sends along with inputs; Flyte 1 has no place for it.

    Raises:
        UsageError: The wire form is not installed.
    """
    if wire is WireForm.FLYTE1:
        from flyteidl.core.literals_pb2 import LiteralMap

        return canonical_bytes(LiteralMap(literals=dict(literals)))
    common = flyte2_module("task.common_pb2")
    inputs = common.Inputs()
    for name, literal in literals.items():
        inputs.literals.add(name=name).value.MergeFromString(canonical_bytes(literal))
    for key, value in (context or {}).items():
        inputs.context.add(key=key, value=value)
    return canonical_bytes(inputs)


def decode_literal_map(data: bytes, wire: WireForm) -> dict[str, Literal]:
    """
    Decode inputs or outputs, in the wire's order where it has one, else by name.

    Raises:
        WireError: The bytes are no such map, or a name is in it twice.
        UsageError: The wire form is not installed.
    """
    from flyteidl.core.literals_pb2 import Literal, LiteralMap

    if wire is WireForm.FLYTE1:
        literals = parse_message(LiteralMap, data, "the literal map").literals
        return {name: literals[name] for name in sorted(literals)}
    decoded: dict[str, Literal] = {}
    for named in parse_message(flyte2_module("task.common_pb2").Outputs, data, "the literal map").literals:
        if named.name in decoded:
            raise WireError(f"the literal map has {named.name!r} twice")
        decoded[named.name] = parse_message(Literal, named.value.SerializeToString(), f"the literal {named.name!r}")
    return decoded


def decode_context(data: bytes) -> dict[str, str]:
    """
    Decode what Flyte 2 sent along with inputs.

    Raises:
        WireError: The bytes are no ``task.Inputs``.
        UsageError: Flyte 2 is not installed.
    """
    inputs = parse_message(flyte2_module("task.common_pb2").Inputs, data, "the inputs")
    return {pair.key: pair.value for pair in inputs.context}
