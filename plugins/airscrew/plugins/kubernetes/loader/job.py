"""
What a data loader has to do, and how its ends are told: both are read by another process than the one that wrote them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

import msgspec

from airscrew.idl.errors import UsageError
from airscrew.idl.wire import WireForm

if TYPE_CHECKING:
    from airscrew.idl.template import Variable

VARIABLE = "AIRSCREW_LOADER_JOB"
MODULE = "airscrew.plugins.kubernetes.loader"
READY_PATH = "/dev/shm/airscrew-loader-ready"  # noqa: S108 - the container's own memory
"""There once the uploader hears SIGTERM: as process 1 it would miss one that came before."""

MESSAGE_PATH = "/dev/termination-log"
MESSAGE_LIMIT = 4000
"""Kubernetes keeps 4096 bytes of what a container says at its end."""


class Code(IntEnum):
    """
    Exit codes of the loader.

    Attributes:
        DONE: All is where it belongs.
        TASK_ERROR: The task has written ``_ERROR``; the message is what it says.
        BAD_OUTPUTS: An output is missing, or is not of its type.
        BAD_INPUTS: An input can never be a file.
        STORAGE: The storage did not answer, or refused.
        BAD_JOB: What it has to do cannot be read.
    """

    DONE = 0
    TASK_ERROR = 20
    BAD_OUTPUTS = 21
    BAD_INPUTS = 22
    STORAGE = 23
    BAD_JOB = 24


class LoaderJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What to bring and to take.

    Attributes:
        input_uri: ``inputs.pb``.
        input_path: The folder for inputs.
        output_path: The folder of outputs.
        output_prefix: Where ``outputs.pb`` goes.
        raw_output_prefix: Where outputs that are files go.
        form: Of the file with all inputs: ``JSON``, ``YAML`` or ``PROTO``.
        wire: The form of ``inputs.pb`` and ``outputs.pb``.
        outputs: The types of the outputs: ``core.LiteralType``, base64.
        downloads_values: Whether every input becomes a file, beside the file with all of them.
        max_file_bytes: What no file may exceed.
    """

    input_uri: str = ""
    input_path: str
    output_path: str
    output_prefix: str
    raw_output_prefix: str
    form: str = "JSON"
    wire: str = WireForm.FLYTE1.value
    outputs: dict[str, str] = {}
    downloads_values: bool = True
    max_file_bytes: int = 256 * 1024 * 1024

    def encode(self) -> str:
        """Write it as JSON."""
        return msgspec.json.encode(self).decode()


def decode_job(text: str) -> LoaderJob:
    """
    Read what to do.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        return msgspec.json.decode(text, type=LoaderJob)
    except msgspec.DecodeError as error:
        raise UsageError(f"{VARIABLE} cannot be read: {error}") from None


def encode_types(outputs: Mapping[str, Variable]) -> dict[str, str]:
    """Encode the types of an interface."""
    return {
        name: base64.b64encode(variable.type.SerializeToString(deterministic=True)).decode()
        for name, variable in outputs.items()
    }
