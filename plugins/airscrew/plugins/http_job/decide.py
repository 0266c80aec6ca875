"""
From what a service says of a job to the status of the attempt. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from airscrew.engine.executor import TaskStatus
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.phase import ExternalResource, LogLink, Phase, TaskInfo
from airscrew.plugins.http_job.config import Service, service_phases
from airscrew.plugins.http_job.outputs import OutputsError, outputs_from_json
from airscrew.plugins.http_job.replies import HttpJobError, JobView
from airscrew.plugins.http_job.state import HttpJobState

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap


@dataclass(frozen=True, slots=True)
class Rules:
    """
    What the configuration says of one service, ready for use.

    Attributes:
        name: What the configuration calls the service.
        service: Its configuration.
        phases: The phase of each status in lower case.
        system_failures: Statuses in lower case that are the service's own failures.
    """

    name: str
    service: Service
    phases: Mapping[str, Phase]
    system_failures: frozenset[str]

    @classmethod
    def of(cls, name: str, service: Service) -> Rules:
        """Read them from the configuration."""
        failures = frozenset(status.lower() for status in service.system_failures)
        return cls(name, service, service_phases(service), failures)

    def phase(self, status: str) -> Phase | None:
        """Return the phase of a status; None when the configuration does not know it."""
        return self.phases.get(status.lower())

    def is_terminal(self, view: JobView) -> bool:
        """Tell whether nothing more will be heard of a job."""
        phase = self.phase(view.status)
        return phase is not None and phase.is_terminal


def decide(rules: Rules, state: HttpJobState, view: JobView) -> TaskStatus[HttpJobState]:
    """
    Say how the attempt stands.

    Args:
        rules: The service's rules.
        state: The stored state: what was known of the job last.
        view: What the service said last; an empty one when it was not heard in this life.

    Raises:
        HttpJobError: The service uses a status that the configuration does not know.
    """
    state = remember(state, view)
    if not state.status:
        return TaskStatus.queued(state, f"job {state.id} of {rules.name}")
    phase = rules.phase(state.status)
    if phase is None:
        raise HttpJobError(
            f"service {rules.name} says {state.status!r} of job {state.id}: add it to services.{rules.name}.phases"
        )
    info = _info(state, phase)
    if phase is Phase.SUCCESS:
        return _success(rules, state, view).with_info(info)
    if phase.is_failure:
        return _failure(rules, state, view, phase).with_info(info)
    reason = state.message or f"job {state.id} of {rules.name} is {state.status}"
    return TaskStatus(phase=phase, state=state, reason=reason, info=info)


def remember(state: HttpJobState, view: JobView) -> HttpJobState:
    """Take into the state what is new about a job."""
    if not view.status:
        return state
    return msgspec.structs.replace(
        state, status=view.status, message=view.message, progress=view.progress, log=view.log or state.log
    )


def _info(state: HttpJobState, phase: Phase) -> TaskInfo:
    logs = (LogLink(name="Log", uri=state.log),) if state.log else ()
    job = ExternalResource(external_id=state.id, phase=phase, logs=logs)
    return TaskInfo(logs=logs, external_resources=(job,), progress=state.progress)


def _success(rules: Rules, state: HttpJobState, view: JobView) -> TaskStatus[HttpJobState]:
    outputs: LiteralMap | None = None
    if state.outputs:
        try:
            outputs = outputs_from_json(state.outputs, view.outputs)
        except OutputsError as error:
            message = f"the result of job {state.id} at {rules.service.outputs} does not fit the task: {error}"
            return TaskStatus.permanent_failure(state, message, code="BadOutputs")
    return TaskStatus.success(state, outputs)


def _failure(rules: Rules, state: HttpJobState, view: JobView, phase: Phase) -> TaskStatus[HttpJobState]:
    kind = ErrorKind.SYSTEM if state.status.lower() in rules.system_failures else ErrorKind.USER
    message = view.message or f"job {state.id} of {rules.name} is {state.status}"
    error = ExecutionError(code=view.code or "JobFailed", message=message, kind=kind)
    return TaskStatus(phase=phase, state=state, reason=message, error=error)
