"""
The two wire forms of Flyte, and what happens when bytes are neither.

Flyte 1 (``flyteidl``) is always at hand. Flyte 2 (``flyteidl2``) is an optional extra and is
imported when its bytes are met, never before. Nothing here imports protobuf at its top: the
command line must start without it.
"""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from airscrew.idl.errors import AirscrewError, UsageError

if TYPE_CHECKING:
    from google.protobuf.message import Message

MessageT = TypeVar("MessageT", bound="Message")


class WireForm(StrEnum):
    """Which generation of Flyte's messages some bytes are in."""

    FLYTE1 = "flyte1"
    FLYTE2 = "flyte2"


class WireError(AirscrewError):
    """Stored or received bytes are not the message that they should be; asking again does not help."""


def flyte2_module(name: str) -> Any:  # noqa: ANN401 - a module of generated code of an optional package
    """
    Import a module of ``flyteidl2``, as ``core.tasks_pb2``.

    Raises:
        UsageError: The extra is not installed.
    """
    try:
        return import_module(f"flyteidl2.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "flyteidl2":
            raise
        raise UsageError("this is in the wire form of Flyte 2, which needs: pip install airscrew[flyte2]") from None


def parse_message(message_type: type[MessageT], data: bytes, what: str) -> MessageT:
    """
    Parse bytes, or say what could not be parsed.

    Raises:
        WireError: The bytes are not such a message.
    """
    from google.protobuf.message import DecodeError

    try:
        return message_type.FromString(data)
    except DecodeError:
        raise WireError(f"{what} is not a {message_type.DESCRIPTOR.full_name} ({len(data)} bytes)") from None


def canonical_bytes(message: Message) -> bytes:
    """Serialize with maps in the order of their keys, so that equal messages give equal bytes."""
    return message.SerializeToString(deterministic=True)
