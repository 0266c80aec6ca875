"""
What is fixed at acceptance.
"""

from __future__ import annotations

from typing import Any

import msgspec

from airscrew.idl.ids import Uid
from airscrew.state.records.record import Count


class CacheOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an execution uses the task cache."""

    version: str = ""
    serializable: bool = False
    ignore_inputs: tuple[str, ...] = ()
    max_age: float | None = None
    overwrite: bool = False


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    The immutable part of an execution.

    Attributes:
        v: Schema version of the writer.
        uid: The execution's UID.
        digest: Of the request: the same name with another digest is refused.
        accepted_at: When it was accepted.
        template: The content hash of its template.
        wire: The template's wire form, ``flyte1`` or ``flyte2``.
        task_type: What it is dispatched by.
        task_name: For people.
        task_id: project, domain, name, version, org of the template.
        executor: The executor asked for; empty for the configured one.
        input_uri: Where its inputs lie; ``data:`` for small ones.
        outputs: Its declared outputs: a serialized v1 VariableMap.
        output_base: Where its files go.
        labels: As submitted.
        annotations: As submitted.
        environment: For the task's processes.
        overrides: Resources, image, config.
        service_account: The identity to run under.
        interruptible: Whether its attempts may be put on capacity that can be taken away.
        max_attempts: How many attempts failures of kind USER may take.
        timeouts: Seconds for ``queued``, ``pending``, ``attempt``, ``total``; absent or 0 without a limit.
        cache: How it uses the task cache; None when it does not.
        parent: ``namespace/name`` of the execution that it is part of.
        item: Its number within the parent.
        origin: The execution that it retries.
        depth: How many parents are above it.
    """

    v: Count = 1
    uid: Uid
    digest: str
    accepted_at: float
    template: str
    wire: str = "flyte1"
    task_type: str
    task_name: str = ""
    task_id: dict[str, str] = {}
    executor: str = ""
    input_uri: str = ""
    outputs: bytes = b""
    output_base: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    environment: dict[str, str] = {}
    overrides: dict[str, Any] = {}
    service_account: str = ""
    interruptible: bool = False
    max_attempts: Count = 1
    timeouts: dict[str, float] = {}
    cache: CacheOptions | None = None
    parent: str = ""
    item: Count | None = None
    origin: str = ""
    depth: Count = 0
