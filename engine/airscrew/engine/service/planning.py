"""
From a request to the immutable part of an execution: pure.

What a submission leaves open is taken from the template, and then from the operator's defaults.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from airscrew.engine.api.model import SubmitRequest
from airscrew.idl.errors import UsageError
from airscrew.idl.ids import Uid
from airscrew.state.records import SCHEMA_VERSION, CacheOptions, Options

if TYPE_CHECKING:
    from airscrew.idl.template import TaskTemplate

TIMEOUT_NAMES = ("queued", "pending", "attempt", "total")
MAX_DEPTH = 16
"""How many parents an execution may have above it."""

_BAD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """
    What the engine adds to a request.

    Attributes:
        uid: Of the execution.
        now: The time of acceptance.
        input_uri: Where the inputs lie.
        output_base: Where its files go.
        timeouts: The operator's defaults in seconds.
        depth: How many parents are above it.
    """

    uid: Uid
    now: float
    input_uri: str
    output_base: str
    timeouts: Mapping[str, float]
    depth: int = 0


def request_digest(request: SubmitRequest) -> str:
    """Hash what makes a request: the same name with the same digest is the same request again."""
    return hashlib.blake2b(msgspec.json.encode(request, order="deterministic"), digest_size=16).hexdigest()


def generated_name(task_name: str, uid: Uid) -> str:
    """Make a name for an execution whose request has none: the task's last word, and a part of the UID."""
    words = _BAD.sub("-", task_name.rsplit(".", 1)[-1].lower()).strip("-")[:40] or "task"
    return f"{words}-{uid[:10]}"


def plan_options(request: SubmitRequest, template: TaskTemplate, chosen: Chosen) -> Options:
    """
    Fix everything that an execution needs later.

    Raises:
        UsageError: A value that cannot be; names it.
    """
    task, metadata = template.id, template.metadata
    return Options(
        v=SCHEMA_VERSION,
        uid=chosen.uid,
        digest=request_digest(request),
        accepted_at=chosen.now,
        template=template.content_hash,
        wire=template.wire.value,
        task_type=template.type,
        task_name=task.name,
        task_id={
            "project": task.project,
            "domain": task.domain,
            "name": task.name,
            "version": task.version,
            "org": task.org,
        },
        executor=request.executor,
        input_uri=chosen.input_uri,
        outputs=template.declared_outputs,
        output_base=chosen.output_base,
        labels=request.labels,
        annotations=request.annotations,
        environment=request.environment,
        overrides=request.overrides,
        service_account=request.service_account or template.security_context.run_as.k8s_service_account,
        interruptible=(metadata.interruptible or False) if request.interruptible is None else request.interruptible,
        max_attempts=_max_attempts(request, template),
        timeouts=_timeouts(request, template, chosen.timeouts),
        cache=_cache(request, template),
        parent=request.parent,
        item=request.item,
        origin=request.origin,
        depth=chosen.depth,
    )


def _max_attempts(request: SubmitRequest, template: TaskTemplate) -> int:
    attempts = template.metadata.retries + 1 if request.max_attempts is None else request.max_attempts
    if not 1 <= attempts <= 1000:  # noqa: PLR2004 - beyond it somebody has made a mistake
        raise UsageError(f"max_attempts is {attempts}: use 1 to 1000")
    return attempts


def _timeouts(request: SubmitRequest, template: TaskTemplate, defaults: Mapping[str, float]) -> dict[str, float]:
    metadata = template.metadata
    own = {
        "attempt": metadata.timeout_seconds,
        "queued": metadata.queued_timeout_seconds,
        "total": metadata.deadline_seconds,
    }
    merged = dict(defaults) | {name: value for name, value in own.items() if value} | request.timeouts
    for name, value in merged.items():
        if name not in TIMEOUT_NAMES:
            raise UsageError(f"there is no timeout {name!r}: use one of {', '.join(TIMEOUT_NAMES)}")
        if value < 0:
            raise UsageError(f"timeout {name} is {value:g} s: use a positive number, or 0 for none")
    return {name: float(value) for name, value in merged.items() if value > 0}


def _cache(request: SubmitRequest, template: TaskTemplate) -> CacheOptions | None:
    metadata = template.metadata
    if request.cache_skip or not metadata.discoverable:
        return None
    return CacheOptions(
        version=metadata.discovery_version,
        serializable=metadata.cache_serializable,
        ignore_inputs=tuple(metadata.cache_ignore_input_vars),
        max_age=metadata.cache_max_age_seconds,
        overwrite=request.cache_overwrite,
    )
