"""
What is kept of a job: the custom state, as it is stored.
"""

from __future__ import annotations

import base64

import msgspec

from airscrew.idl.phase import LogLink, Phase


class ConnectorState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A job of a connector; no secrets but what the connector itself puts into its metadata.

    Attributes:
        service: Which service of the configuration.
        task_type: The task type that the connector runs.
        version: The version of the task type.
        meta: The connector's own metadata of the job, when it is text, as most often.
        meta_base64: The same when it is not.
        created_at: When the job was made, as we saw it, Unix seconds.
        output_prefix: Where the job may write outputs.
        has_outputs: Whether the task declares outputs.
        phase: Where the job stood last.
        message: What the connector said along with it.
        logs: Links to its logs.
        stopping_since: When the connector was first told to delete it, Unix seconds; 0 before.
    """

    service: str
    task_type: str
    version: int = 0
    meta: str = ""
    meta_base64: str = ""
    created_at: float = 0.0
    output_prefix: str = ""
    has_outputs: bool = False
    phase: Phase = Phase.UNDEFINED
    message: str = ""
    logs: tuple[LogLink, ...] = ()
    stopping_since: float = 0.0

    @property
    def resource_meta(self) -> bytes:
        """The connector's metadata, byte for byte."""
        return base64.b64decode(self.meta_base64) if self.meta_base64 else self.meta.encode()

    def with_meta(self, meta: bytes) -> ConnectorState:
        """Keep a connector's metadata: legible when it is text, which most connectors' is."""
        try:
            return msgspec.structs.replace(self, meta=meta.decode(), meta_base64="")
        except UnicodeDecodeError:
            return msgspec.structs.replace(self, meta="", meta_base64=base64.b64encode(meta).decode())
