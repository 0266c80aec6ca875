"""
What the conformance kit has to know of executors whose jobs are those of a fake job service, in process.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import ClassVar

from typing_extensions import override

from airscrew.engine.testing.conformance import NotApplicable, Scenarios
from airscrew.engine.testing.job_service import FakeJobService, Fault


class ServiceScenarios(Scenarios):
    """
    Jobs of a fake job service: it tells what there is, and is spoilt on demand.

    Attributes:
        service: The service, made by the subclass.
        creates: What makes a job: methods, or what stands for them.
        reads: What looks at jobs.
        period: Seconds between two looks.
        batch: How many jobs a look reads.
    """

    service: FakeJobService
    creates: ClassVar[AbstractSet[str]] = frozenset({"POST"})
    reads: ClassVar[AbstractSet[str]] = frozenset({"GET"})
    period: ClassVar[int] = 5
    batch: int = 50

    def why_not_twice(self) -> str:
        """Say why a request that is delivered twice cannot make one job; empty when it does."""
        return ""

    @override
    async def live(self, key: str) -> int:
        return self.service.live(key)

    @override
    async def created(self, key: str) -> int:
        return self.service.created[key]

    @override
    async def delete_externally(self, key: str) -> None:
        self.service.forget(key)

    @override
    def spoil_start(self, fault: Fault) -> None:
        reason = self.why_not_twice() if fault is Fault.TWICE else ""
        if reason:
            raise NotApplicable(reason)
        self.service.inject(fault, methods=self.creates)

    @override
    def spoil_reads(self, fault: Fault) -> None:
        self.service.inject(fault, times=1_000_000, methods=self.reads)

    @override
    def heal(self) -> None:
        self.service.heal()

    @override
    def calls(self) -> int:
        return self.service.requests()

    @override
    def allowed_calls_per_hour(self, jobs: int) -> int:
        return 3600 // self.period * -(-jobs // self.batch)
