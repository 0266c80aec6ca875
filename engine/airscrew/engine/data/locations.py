"""
What lies where. Pure.

Below the base of an execution::

    <base>/<namespace>/<name>-<uid>/              one for each execution; an execution of the same name has another
        inputs.pb                                 its inputs, when a process or container has to read them
        task.pb                                   its template, when something refers to it
        0/  1/  ...                               one for each attempt: outputs.pb, error.pb, futures.pb, deck.html
    <raw base>/<xy>/<attempt key>/                blobs that outputs point to, spread over 1,024 prefixes
        _flytecheckpoints/                        checkpoints of that attempt

Flyte 2 has its own layout, which its SDK computes on its own (``run_base``, action, attempts from 1)::

    <base>/<namespace>/<name>-<uid>/              the base of the run
        a0/inputs.pb  a0/task.pb  a0/1/  a0/2/    the root action

No location ends in a slash. Nothing is made here: whoever writes makes the folders on the way.
"""

from __future__ import annotations

from airscrew.engine.data.local_files import is_local, local_path
from airscrew.engine.executor.context import Locations
from airscrew.idl.ids import AttemptKey, ExecutionId, Uid
from airscrew.idl.wire import WireForm

ROOT_ACTION = "a0"
"""What Flyte 2 calls the first action of a run."""

CHECKPOINTS = "_flytecheckpoints"

UID_DIGITS = 8
"""How much of the UID tells executions of one name apart."""


def execution_prefix(base: str, execution: ExecutionId, uid: Uid) -> str:
    """Say below what all metadata files of an execution lie; also the base of a run of Flyte 2."""
    return f"{base.rstrip('/')}/{execution.namespace}/{execution.name}-{uid[:UID_DIGITS]}"


def plan_locations(
    base: str,
    execution: ExecutionId,
    uid: Uid,
    attempt: int,
    key: AttemptKey,
    *,
    previous_key: AttemptKey | None = None,
    wire: WireForm = WireForm.FLYTE1,
    raw_base: str = "",
    work_base: str = "",
) -> Locations:
    """
    Say where an attempt reads and writes.

    Args:
        base: Where the execution's files go.
        execution: Its name.
        uid: Its UID.
        attempt: The attempt's number, 0 for the first.
        key: The attempt's key.
        previous_key: The key of the attempt before; None for the first.
        wire: The form of the task, which has its own layout.
        raw_base: Where blobs go; empty for ``<base>/raw``.
        work_base: A folder on this machine for folders to work in; empty when there is none.
    """
    home = execution_prefix(base, execution, uid)
    raw = raw_base.rstrip("/") or f"{base.rstrip('/')}/raw"
    inputs, number = (home, attempt) if wire is WireForm.FLYTE1 else (f"{home}/{ROOT_ACTION}", attempt + 1)
    raw_prefix = raw_output_prefix(raw, key)
    return Locations(
        input_uri=f"{inputs}/inputs.pb",
        input_prefix=inputs,
        output_prefix=f"{inputs}/{number}",
        raw_output_prefix=raw_prefix,
        checkpoint_prefix=f"{raw_prefix}/{CHECKPOINTS}",
        previous_checkpoint_prefix=f"{raw_output_prefix(raw, previous_key)}/{CHECKPOINTS}" if previous_key else "",
        template_uri=f"{inputs}/task.pb",
        work_directory=f"{work_base.rstrip('/')}/{key}" if work_base else "",
    )


def raw_output_prefix(raw_base: str, key: AttemptKey) -> str:
    """Say where an attempt's blobs go: the shard keeps object stores from slowing one hot prefix down."""
    return f"{raw_base}/{key[1:3]}/{key}"


def run_base(locations: Locations) -> str:
    """Say what the base of a Flyte 2 run is."""
    return locations.input_prefix.rpartition("/")[0]


def run_name(locations: Locations) -> str:
    """Name a Flyte 2 run: a later execution of the same name has another."""
    return run_base(locations).rpartition("/")[2]


def deck_name(wire: WireForm) -> str:
    """Say what the page that a task writes for people is called."""
    return "deck.html" if wire is WireForm.FLYTE1 else "report.html"


def for_task(uri: str) -> str:
    """
    Write a location as the SDKs read it: a file of this machine as its path, anything else as it is.

    The SDKs take what follows ``file://`` as it stands, percent signs and all; a path means the same to everybody.
    """
    return str(local_path(uri)) if uri and is_local(uri) else uri
