"""
Accepting executions: everything is checked first, and nothing is stored of what is refused.

The transaction of an acceptance claims the name, refers to the template (which it writes when it is new), and leaves
the request that the owner of the execution finds. When it has returned, the execution is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cachetools import LRUCache

from airscrew.engine.api.model import ApiError, SubmitReply, SubmitRequest
from airscrew.engine.clock import Clock
from airscrew.engine.controller.commit import SUBMIT
from airscrew.engine.data.errors import StorageUnavailableError
from airscrew.engine.registry import Registry
from airscrew.engine.service.planning import MAX_DEPTH, Chosen, generated_name, plan_options, request_digest
from airscrew.engine.service.reader import parse_name
from airscrew.idl.errors import AirscrewError, UsageError
from airscrew.idl.ids import ExecutionId, Uid, checked_name
from airscrew.idl.json_tree import is_object
from airscrew.idl.template import TargetKind, TaskTemplate, content_hash, decode_template
from airscrew.idl.wire import WireError, WireForm
from airscrew.state import keys
from airscrew.state.errors import StoreBusyError, StoreError, StoreFullError, StoreUnavailableError, TooLargeError
from airscrew.state.records import Options, Request, decode_options, encode
from airscrew.state.room import check_room
from airscrew.state.store import ANY, Compare, Operation, Put, Store

TRIES = 5


class InputDesk(Protocol):
    """What a submission needs of the data plane."""

    def output_base(self, execution: ExecutionId, uid: Uid, wanted: str) -> str:
        """Say where an execution's files go."""
        ...

    def check_template(self, template: TaskTemplate, request: SubmitRequest) -> None:
        """
        Check what can be checked before anything is stored: the variables in its arguments.

        Raises:
            UsageError: Names what is wrong.
        """
        ...

    async def place_inputs(self, template: TaskTemplate, request: SubmitRequest, base: str) -> str:
        """
        Check the inputs against the interface and return where they lie; small ones as a ``data:`` URI.

        Raises:
            UsageError: Names the variable, the expected and the given type, or the location that cannot be read.
        """
        ...


@dataclass(slots=True, kw_only=True)
class Submitter:
    """
    Accepts executions.

    Attributes:
        store: Where they are kept.
        registry: Knows who runs which task type.
        desk: Checks and places inputs.
        clock: The engine's time.
        new_uid: Draws a UID.
        announce: Told what is about to be written: the controller may hear of it before we do.
        timeouts: The operator's defaults in seconds.
    """

    store: Store
    registry: Registry
    desk: InputDesk
    clock: Clock
    new_uid: Callable[[], Uid]
    announce: Callable[[ExecutionId, Options], None]
    timeouts: Mapping[str, float] = field(default_factory=dict[str, float])
    _templates: LRUCache[str, TaskTemplate] = field(default_factory=lambda: LRUCache[str, TaskTemplate](512))
    _stored: LRUCache[str, bool] = field(default_factory=lambda: LRUCache[str, bool](4096))

    async def submit(self, request: SubmitRequest) -> SubmitReply:
        """
        Accept an execution, or answer with the one that the same request had accepted before.

        Raises:
            ApiError: ``invalid``, ``already_exists``, ``full`` or ``unavailable``; nothing was stored.
        """
        try:
            check_room(self.store)
            template = self._template(request)
            self._check(template, request)
            return await self._accept(template, request)
        except (UsageError, WireError, TooLargeError) as error:
            raise ApiError("invalid", str(error)) from error
        except StoreFullError as error:
            raise ApiError("full", f"the store is full, nothing was accepted: {error}") from error
        except StoreUnavailableError as error:
            raise ApiError("unavailable", f"the store gave no answer; submit the same again: {error}") from error
        except StoreBusyError as error:
            raise ApiError("unavailable", f"this engine has lost the store; submit the same again: {error}") from error
        except StorageUnavailableError as error:
            raise ApiError(
                "unavailable", f"the inputs are out of reach for now; submit the same again: {error}"
            ) from error
        except (StoreError, AirscrewError) as error:
            raise ApiError("failed", str(error)) from error

    def _template(self, request: SubmitRequest) -> TaskTemplate:
        name = content_hash(request.template)
        template = self._templates.get(name)
        if template is None or template.wire.value != request.wire:
            if request.wire not in {form.value for form in WireForm}:
                raise UsageError(f"wire form {request.wire!r} is none of {', '.join(WireForm)}")
            template = decode_template(request.template, WireForm(request.wire))
            if not template.type:
                raise UsageError("the task template has no type: it is no task template, or one that was cut short")
            self._templates[name] = template
        return template

    def _check(self, template: TaskTemplate, request: SubmitRequest) -> None:
        has_container = template.target in {TargetKind.CONTAINER, TargetKind.K8S_POD}
        executor = self.registry.resolve(template.type, has_container=has_container, wanted=request.executor)
        if template.interface.outputs and not executor.produces_outputs:
            names = ", ".join(template.interface.outputs)
            raise UsageError(f"task type {template.type!r} has no outputs, and the template declares {names}")
        checked_name(request.namespace, "namespace")
        if request.name:
            checked_name(request.name, "name")
        if not is_object(request.overrides):  # JSON of a client's: nothing has looked at its type so far
            raise UsageError("overrides must be a JSON object of names and values")
        self.desk.check_template(template, request)

    async def _accept(self, template: TaskTemplate, request: SubmitRequest) -> SubmitReply:
        uid = self.new_uid()
        execution = ExecutionId(request.namespace, request.name or generated_name(template.name, uid))
        depth = await self._depth(request)
        base = self.desk.output_base(execution, uid, request.output_prefix)
        input_uri = await self.desk.place_inputs(template, request, base)
        chosen = Chosen(
            uid=uid,
            now=self.clock.now(),
            input_uri=input_uri,
            output_base=base,
            timeouts=self.timeouts,
            depth=depth,
        )
        options = plan_options(request, template, chosen)
        self.announce(execution, options)
        for _ in range(TRIES):
            if await self._settled_write(execution, options, template):
                return SubmitReply(execution=str(execution), uid=uid)
            known = await self._known(execution, request)
            if known is not None:
                return known
        raise ApiError("unavailable", f"{execution} could not be accepted: its template comes and goes; submit again")

    async def _settled_write(self, execution: ExecutionId, options: Options, template: TaskTemplate) -> bool:
        """Write, and settle a reply that was lost: a request without a name would be accepted twice."""
        try:
            return await self._write(execution, options, template)
        except StoreUnavailableError:
            found = await self.store.get(keys.spec_key(execution))
            if found is None or decode_options(found.value).uid != options.uid:
                raise
            return True

    async def _write(self, execution: ExecutionId, options: Options, template: TaskTemplate) -> bool:
        spec, content = keys.spec_key(execution), keys.template_key(options.template)
        submitted = Request(what=SUBMIT, at=options.accepted_at, uid=options.uid)
        compares = [Compare(spec, 0)]
        operations: list[Operation] = [
            Put(spec, encode(options)),
            Put(
                keys.request_key(execution, SUBMIT),
                encode(submitted),
            ),
            Put(keys.template_epoch_key(options.template), b""),
        ]
        if self._stored.get(options.template) or await self.store.get(content) is not None:
            compares.append(Compare(content, ANY))
        else:
            compares.append(Compare(content, 0))
            operations.append(Put(content, template_value(template)))
        if options.parent:
            parent = parse_name(options.parent)
            operations.append(Put(keys.child_key(parent, options.item or 0), str(execution).encode()))
        result = await self.store.txn(compares, operations)
        self._stored[options.template] = result.succeeded
        return result.succeeded

    async def _known(self, execution: ExecutionId, request: SubmitRequest) -> SubmitReply | None:
        found = await self.store.get(keys.spec_key(execution))
        if found is None:
            return None
        options = decode_options(found.value)
        if options.digest == request_digest(request):
            return SubmitReply(execution=str(execution), uid=options.uid, created=False)
        raise ApiError(
            "already_exists", f"there is another execution {execution}: choose another name, or prune that one"
        )

    async def _depth(self, request: SubmitRequest) -> int:
        if not request.parent:
            return 0
        parent = parse_name(request.parent)
        found = await self.store.get(keys.spec_key(parent))
        if found is None:
            raise UsageError(f"parent {parent} does not exist")
        depth = decode_options(found.value).depth + 1
        if depth > MAX_DEPTH:
            raise UsageError(f"{parent} is {MAX_DEPTH} levels deep already: no execution may go deeper")
        return depth


def template_value(template: TaskTemplate) -> bytes:
    """Write a template as the store holds it: one byte for its wire form, then its bytes."""
    return (b"1" if template.wire is WireForm.FLYTE1 else b"2") + template.raw


def read_template_value(value: bytes) -> TaskTemplate:
    """Read what ``template_value`` wrote."""
    return decode_template(value[1:], WireForm.FLYTE1 if value[:1] == b"1" else WireForm.FLYTE2)
