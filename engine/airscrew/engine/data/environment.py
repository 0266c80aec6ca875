"""
The variables that a task's processes find. Pure.

What the engine says of the identity of the execution wins over what was submitted; everything else that is submitted
wins over the engine. No secret is among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airscrew.engine.data.local_files import is_local
from airscrew.engine.data.locations import ROOT_ACTION, for_task, run_base, run_name
from airscrew.engine.executor.context import Locations
from airscrew.idl.ids import AttemptKey, ExecutionId
from airscrew.idl.wire import WireForm

DEFAULT_DOMAIN = "development"
DEFAULT_ORG = "airscrew"
"""For tasks of Flyte 2, which refuse to run without one."""

NO_ENDPOINT = "127.0.0.1:1"
"""Where nobody listens: a task that calls no other needs no control plane, but an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """
    What a task's processes are told of what they belong to.

    Attributes:
        execution: The execution's name.
        attempt: The attempt's number, 0 for the first.
        key: The attempt's key.
        task_id: project, domain, name, version, org of the template's id.
        wire: The form of the task.
        locations: Where the attempt reads and writes.
        max_attempts: How many attempts there may be.
        execution_url: Where a person sees the execution; empty for nowhere.
        endpoint: The control plane that a Flyte 2 task talks to; empty for none.
    """

    execution: ExecutionId
    attempt: int
    key: AttemptKey
    task_id: Mapping[str, str] = field(default_factory=dict[str, str])
    wire: WireForm = WireForm.FLYTE1
    locations: Locations
    max_attempts: int = 1
    execution_url: str = ""
    endpoint: str = ""

    @property
    def project(self) -> str:
        """The task's project; the namespace for a task that is not registered."""
        return self.task_id.get("project") or self.execution.namespace

    @property
    def domain(self) -> str:
        """The task's domain."""
        return self.task_id.get("domain") or DEFAULT_DOMAIN

    @property
    def org(self) -> str:
        """The task's organisation."""
        return self.task_id.get("org") or DEFAULT_ORG


def make_environment(identity: ProcessIdentity, submitted: Mapping[str, str]) -> dict[str, str]:
    """Make all variables of an attempt's processes from what they belong to and what was submitted."""
    own = _common(identity) | (_flyte1(identity) if identity.wire is WireForm.FLYTE1 else _flyte2(identity))
    return {**_defaults(identity), **submitted, **own}


def _defaults(identity: ProcessIdentity) -> dict[str, str]:
    # Flyte 2 makes no folders by itself: without this its outputs have nowhere to go.
    local = is_local(identity.locations.output_prefix)
    return {"FSSPEC_FILE_AUTO_MKDIR": "1"} if local and identity.wire is WireForm.FLYTE2 else {}


def _common(identity: ProcessIdentity) -> dict[str, str]:
    variables = {
        "AIRSCREW_ATTEMPT_KEY": str(identity.key),
        "AIRSCREW_EXECUTION": str(identity.execution),
        "FLYTE_ATTEMPT_NUMBER": str(identity.attempt),
        "FLYTE_INTERNAL_EXECUTION_ID": identity.execution.name,
        "FLYTE_INTERNAL_EXECUTION_PROJECT": identity.project,
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": identity.domain,
        "AIRSCREW_MAX_ATTEMPTS": str(identity.max_attempts),
    }
    if identity.execution_url:
        variables["FLYTE_EXECUTION_URL"] = identity.execution_url
    return variables


def _flyte1(identity: ProcessIdentity) -> dict[str, str]:
    name = identity.task_id.get("name", "")
    return {
        "FLYTE_INTERNAL_EXECUTION_WORKFLOW": name,
        "FLYTE_INTERNAL_TASK_PROJECT": identity.project,
        "FLYTE_INTERNAL_TASK_DOMAIN": identity.domain,
        "FLYTE_INTERNAL_TASK_NAME": name,
        "FLYTE_INTERNAL_TASK_VERSION": identity.task_id.get("version", ""),
    }


def _flyte2(identity: ProcessIdentity) -> dict[str, str]:
    return {
        "ACTION_NAME": ROOT_ACTION,
        "RUN_NAME": run_name(identity.locations),
        "_U_RUN_BASE": for_task(run_base(identity.locations)),
        "_U_ORG_NAME": identity.org,
        "_U_EP_OVERRIDE": identity.endpoint or NO_ENDPOINT,
        "_U_INSECURE": "false" if identity.endpoint.startswith("https://") else "true",
    }
