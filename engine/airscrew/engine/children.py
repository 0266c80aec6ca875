"""
The children of a dynamic task: executions of their own, tended by their parent.

A child is named after its parent, the attempt and its node, so submitting it again finds the one that is there. A
child that ends leaves word with its parent; the parent then submits what has become ready, and binds the outputs when
all is done. What a plan allows to fail (``min_successes``) may fail; one more failure ends the parent, and the other
children with it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from airscrew.engine.api.model import ApiError, SubmitReply, SubmitRequest
from airscrew.engine.controller.answers import with_outcome
from airscrew.engine.controller.live import Live
from airscrew.engine.controller.ports import place_of
from airscrew.engine.data.futures import DynamicPlan, NodePlan, plan_futures, ready_nodes, resolve_bindings
from airscrew.engine.dataplane import LocalDataPlane
from airscrew.engine.errors import PermanentError
from airscrew.engine.machine import ChildrenAtWork, Fact, JobGone, JobStillThere, Told
from airscrew.engine.service.reader import Found, Reader
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.ids import ExecutionId
from airscrew.idl.literals import decode_literal_map, encode_literal_map
from airscrew.idl.phase import Phase
from airscrew.idl.wire import WireForm
from airscrew.state.records import Stage

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

KILL_CHECK_SECONDS = 0.5
NAME_LIMIT = 60

_BAD = re.compile(r"[^a-z0-9]+")


@dataclass(slots=True, kw_only=True)
class Children:
    """
    Tends the children of executions.

    Attributes:
        reader: Reads executions.
        data: Reads plans and outputs.
        submit: Accepts an execution.
        kill_child: Asks that one ends.
    """

    reader: Reader
    data: LocalDataPlane
    submit: Callable[[SubmitRequest], Awaitable[SubmitReply]]
    kill_child: Callable[[str, str], Awaitable[None]]

    async def tend(self, live: Live) -> Fact:
        """Submit the children whose inputs are there, look at those that run, bind the outputs when all are done."""
        try:
            plan = plan_futures(await self.data.storage.read(live.record.plan_uri))
            return await self._tend(live, plan)
        except PermanentError as error:
            return failure(live, ExecutionError(code=error.code, message=str(error), kind=error.kind))

    async def kill(self, live: Live, reason: str) -> Fact:
        """Ask that all children end; ``JobGone`` when they have."""
        plan = plan_futures(await self.data.storage.read(live.record.plan_uri))
        left = 0
        for node in plan.nodes:
            found = await self._find(live, node)
            if found is not None and found.record.stage is not Stage.DONE:
                left += 1
                if not found.record.kill:
                    await self.kill_child(str(found.execution), f"its parent ends: {reason}")
        return JobStillThere(None, KILL_CHECK_SECONDS) if left else JobGone()

    async def _tend(self, live: Live, plan: DynamicPlan) -> Fact:
        found = {node.id: await self._find(live, node) for node in plan.nodes}
        over = {name: one for name, one in found.items() if one is not None and one.record.ended_at}
        succeeded = {name: one for name, one in over.items() if one.record.phase is Phase.SUCCESS}
        failed = {name: one for name, one in over.items() if name not in succeeded}
        if len(failed) > len(plan.nodes) - plan.min_successes:
            return failure(live, first_error(failed))
        results = {name: await self._outputs(one) for name, one in succeeded.items()}
        started = [name for name, one in found.items() if one is not None]
        ready = ready_nodes(plan, {*succeeded, *failed}, started)
        for node in ready:
            await self._submit(live, plan, node, results, set(failed))
        if len(over) < len(plan.nodes):
            return ChildrenAtWork(len(plan.nodes), len(over), "")
        return await self._bound(live, plan, results, set(failed))

    async def _bound(self, live: Live, plan: DynamicPlan, results: dict[str, LiteralMap], failed: set[str]) -> Fact:
        place = place_of(live)
        outputs = resolve_bindings(plan.outputs, results, failed=failed)
        outcome = await self.data.read_outcome(place, self.data.locations(place), outputs, succeeded=True)
        told = Told(phase=Phase.SUCCESS, info=live.record.info, executor=live.record.executor)
        return with_outcome(told, outcome)

    async def _submit(
        self, live: Live, plan: DynamicPlan, node: NodePlan, results: dict[str, LiteralMap], failed: set[str]
    ) -> None:
        options = live.options
        inputs = resolve_bindings(node.bindings, results, failed=failed)
        request = SubmitRequest(
            namespace=live.execution.namespace,
            name=child_name(live, node.id),
            template=node.template,
            inputs=encode_literal_map(dict(inputs.literals), WireForm.FLYTE1),
            labels=options.labels,
            annotations=options.annotations,
            environment=options.environment,
            overrides=dict(node.overrides),
            service_account=options.service_account,
            interruptible=options.interruptible if node.interruptible is None else node.interruptible,
            max_attempts=None if node.retries is None else node.retries + 1,
            timeouts={} if node.timeout is None else {"attempt": node.timeout},
            cache_skip=node.cacheable is False,
            output_prefix="" if options.output_base == self.data.base else options.output_base,
            parent=str(live.execution),
            item=item_of(plan, node),
        )
        try:
            await self.submit(request)
        except ApiError as error:
            if error.code == "invalid":
                raise PermanentError(f"node {node.id!r}: {error}", code="BadDynamicSpecification") from error
            raise

    async def _find(self, live: Live, node: NodePlan) -> Found | None:
        name = ExecutionId(live.execution.namespace, child_name(live, node.id))
        try:
            return await self.reader.find(str(name))
        except ApiError as error:
            if error.code == "not_found":
                return None
            raise

    async def _outputs(self, child: Found) -> LiteralMap:
        from flyteidl.core.literals_pb2 import LiteralMap

        uri = child.record.output_uri
        data = await self.data.storage.read(uri) if uri else b""
        return LiteralMap(literals=decode_literal_map(data, WireForm(child.options.wire)))


def child_name(live: Live, node_id: str) -> str:
    """Name a child after its parent, the parent's UID and attempt, and its node."""
    parent, node = live.execution.name[:NAME_LIMIT].rstrip("-._"), _BAD.sub("-", node_id.lower()).strip("-")[:20]
    return f"{parent}-{live.options.uid[:6]}-{live.record.attempt}-{node}"


def item_of(plan: DynamicPlan, node: NodePlan) -> int:
    """Number a child by its place in the plan."""
    return next(place for place, one in enumerate(plan.nodes) if one.id == node.id)


def first_error(failed: dict[str, Found]) -> ExecutionError:
    """Say which child failed first, and why."""
    name, child = min(failed.items(), key=lambda item: item[1].record.ended_at)
    error = child.record.error or ExecutionError(code="ChildFailed", message=child.record.phase.title)
    kind = ErrorKind.USER if error.kind is ErrorKind.UNKNOWN else error.kind
    message = f"child {child.execution} (node {name!r}) failed: {error.message}"
    return msgspec.structs.replace(error, message=message, kind=kind)


def failure(live: Live, error: ExecutionError) -> Told:
    """End the parent; its other children are killed."""
    return Told(
        phase=Phase.PERMANENT_FAILURE,
        info=live.record.info,
        error=error,
        cleanup=bool(live.record.children),
        executor=live.record.executor,
    )
