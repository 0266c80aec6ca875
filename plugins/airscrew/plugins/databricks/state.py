"""
What is kept of a run, and how Databricks says that it stands.
"""

from __future__ import annotations

from dataclasses import dataclass

from airscrew.plugins.webapi import JobState


class RunState(JobState, frozen=True, kw_only=True, omit_defaults=True):
    """
    A run, legible as JSON in the store.

    Attributes:
        outputs: Where its outputs will lie, or its ``error.pb``.
        may_write_nothing: Whether its task declares no outputs.
        status: Databricks' own word for where it stood last, its life-cycle state.
        result: The word for how it ended.
        reason: What it said along with it.
        page: Where a person sees it.
        started_ms: When it began by Databricks' clock, Unix milliseconds: by that it is listed; 0 until it has said.
    """

    outputs: str = ""
    may_write_nothing: bool = False
    status: str = ""
    result: str = ""
    reason: str = ""
    page: str = ""
    started_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """
    How Databricks says that a run stands; the names are those of the state.

    Attributes:
        code: Why it ended, by its own word (``termination_details.code``); empty when it does not say.
        blame: Whose failure that is (``termination_details.type``); empty when it does not say.
    """

    status: str = ""
    result: str = ""
    reason: str = ""
    page: str = ""
    started_ms: int = 0
    code: str = ""
    blame: str = ""
