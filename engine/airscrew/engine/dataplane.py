"""
The data plane as the controller and the interface use it: files by ``data``, templates from the store.

Guarantees: what an attempt left is judged the same way whenever it is read; small literal maps travel in their URI and
cost no file; a template is read from the store once and kept by its content hash.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from cachetools import LRUCache

from airscrew.engine.api.model import ApiError, OutputsView, SubmitRequest
from airscrew.engine.controller.ports import AttemptPlace, Outcome
from airscrew.engine.data.access import AttemptData
from airscrew.engine.data.data_uri import MAX_INLINE_BYTES, encode_data_uri
from airscrew.engine.data.environment import ProcessIdentity, make_environment
from airscrew.engine.data.errors import FileMissingError, LocationError, StorageError, StorageUnavailableError, shown
from airscrew.engine.data.local_files import is_local, local_path
from airscrew.engine.data.locations import execution_prefix, plan_locations
from airscrew.engine.data.outputs import (
    Failed,
    Futures,
    Missing,
    Outputs,
    check_outputs,
    missing_failure,
    read_failure,
    read_result,
    store_outputs,
)
from airscrew.engine.data.render import unknown_variables
from airscrew.engine.data.secrets import Secrets
from airscrew.engine.data.storage import Storage, check_location
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Locations, OutputsAt
from airscrew.engine.service.reader import Found
from airscrew.engine.service.submission import read_template_value
from airscrew.idl.errors import ErrorKind, ExecutionError, UsageError
from airscrew.idl.ids import AttemptKey, ExecutionId, Uid, attempt_key
from airscrew.idl.json_tree import is_array, is_object
from airscrew.idl.literals import check_inputs, decode_literal_map, to_json, type_name
from airscrew.idl.template import TaskTemplate, Variable
from airscrew.idl.wire import WireError, WireForm, parse_message
from airscrew.state import keys
from airscrew.state.records import Options
from airscrew.state.store import Store

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.core.types_pb2 import LiteralType

LOG_NAME = "task.log"
METRICS_NAME = "task.metrics.jsonl"
LOG_CHUNK_BYTES = 64 * 1024
LOG_POLL_SECONDS = 0.1


@dataclass(slots=True, kw_only=True)
class LocalDataPlane:
    """
    Where inputs, outputs and logs are.

    Attributes:
        store: Holds the templates.
        storage: Reads and writes files.
        base: Where executions' files go unless a submission says otherwise.
        work_base: A folder of this machine for attempts to work in.
        secrets: Finds secrets.
        installation: Part of every key.
    """

    store: Store
    storage: Storage
    base: str
    work_base: str
    secrets: Secrets
    installation: str
    _templates: LRUCache[str, TaskTemplate] = field(default_factory=lambda: LRUCache[str, TaskTemplate](512))

    # What the controller asks.

    def locations(self, place: AttemptPlace) -> Locations:
        """Say where an attempt reads and writes."""
        options = place.options
        before = attempt_key(self.installation, options.uid, place.attempt - 1) if place.attempt else None
        return self._locations(place.execution, options, place.attempt, place.key, before)

    def environment(self, place: AttemptPlace, locations: Locations) -> dict[str, str]:
        """Make the variables for an attempt's processes."""
        identity = ProcessIdentity(
            execution=place.execution,
            attempt=place.attempt,
            key=place.key,
            task_id=place.options.task_id,
            wire=WireForm(place.options.wire),
            locations=locations,
            max_attempts=place.options.max_attempts,
        )
        return make_environment(identity, place.options.environment)

    def access(self, place: AttemptPlace, locations: Locations) -> AttemptData:
        """Give access to an attempt's data."""
        options = place.options
        return AttemptData(
            accepted_at=options.accepted_at,
            storage=self.storage,
            secrets=self.secrets,
            template=lambda: self.template(options),
            locations=locations,
            input_uri=options.input_uri,
            wire=WireForm(options.wire),
            overrides=options.overrides,
            execution=place.execution,
            key=place.key,
        )

    async def template(self, options: Options) -> TaskTemplate:
        """
        Load a template.

        Raises:
            PermanentError: It is not in the store any more.
        """
        known = self._templates.get(options.template)
        if known is not None:
            return known
        found = await self.store.get(keys.template_key(options.template))
        if found is None:
            raise PermanentError(
                f"the template {options.template} is not in the store", code="TemplateMissing", kind=ErrorKind.SYSTEM
            )
        template = self._templates[options.template] = read_template_value(found.value)
        return template

    async def read_outcome(
        self, place: AttemptPlace, locations: Locations, outputs: LiteralMap | OutputsAt | None, *, succeeded: bool
    ) -> Outcome:
        """Read what an attempt left, or keep what its executor gave."""
        wire, declared = WireForm(place.options.wire), declared_variables(place.options.outputs)
        if isinstance(outputs, OutputsAt):
            return await self._left_behind(outputs, wire, declared, succeeded=succeeded)
        literals = {} if outputs is None else dict(outputs.literals)
        failed = check_outputs(literals, declared)
        if failed is not None:
            return Outcome(error=failed.error, recoverable=failed.recoverable)
        try:
            return Outcome(output_uri=await store_outputs(self.storage, literals, wire, locations))
        except PermanentError as error:
            return Outcome(error=ExecutionError(code=error.code, message=str(error), kind=error.kind))

    async def _left_behind(
        self, outputs: OutputsAt, wire: WireForm, declared: Mapping[str, Variable], *, succeeded: bool
    ) -> Outcome:
        if not succeeded:
            failed, deck = await read_failure(self.storage, outputs.prefix, wire=wire)
            if failed is None:
                return Outcome(deck_uri=deck)
            return Outcome(error=failed.error, recoverable=failed.recoverable, deck_uri=deck)
        result = await read_result(self.storage, outputs.prefix, wire=wire, declared=declared)
        if isinstance(result, Missing) and not outputs.missing_is_success:
            result = missing_failure(result, declared)
        match result:
            case Failed(error=error, recoverable=recoverable, deck_uri=deck):
                return Outcome(error=error, recoverable=recoverable, deck_uri=deck)
            case Futures(uri=uri, deck_uri=deck):
                return Outcome(plan_uri=uri, deck_uri=deck)
            case Outputs(uri=uri, deck_uri=deck):
                return Outcome(output_uri=uri, deck_uri=deck)
            case Missing(deck_uri=deck):
                return Outcome(deck_uri=deck, wrote_nothing=True)

    # What a submission asks.

    def output_base(self, execution: ExecutionId, uid: Uid, wanted: str) -> str:
        """
        Say where an execution's files go.

        Raises:
            UsageError: They can be put nowhere of that kind.
        """
        del execution, uid
        if not wanted:
            return self.base
        try:
            check_location(wanted)
        except LocationError as error:
            raise UsageError(f"outputs cannot go to {shown(wanted)}: {error}") from error
        return wanted.rstrip("/")

    def check_template(self, template: TaskTemplate, request: SubmitRequest) -> None:
        """
        Check the variables in the template's command and arguments.

        Raises:
            UsageError: Names the unknown one.
        """
        del request
        unknown = unknown_variables(rendered_texts(template), template.interface.inputs)
        if unknown:
            raise UsageError(f"the task refers to {', '.join(unknown)}, which is no template variable and no input")

    async def place_inputs(self, template: TaskTemplate, request: SubmitRequest, base: str) -> str:
        """
        Check the inputs against the interface, and say where they lie.

        Raises:
            UsageError: Names the variable, the expected and the given type, or the location that cannot be read.
            StorageUnavailableError: The storage is away for now; the same may be submitted again.
        """
        data = request.inputs
        if request.input_uri:
            try:
                data = await self.storage.read(request.input_uri)
            except StorageUnavailableError:
                raise
            except (StorageError, PermanentError) as error:
                raise UsageError(f"the inputs cannot be read: {error}") from error
        try:
            literals = decode_literal_map(data, template.wire) if data else {}
        except WireError as error:
            raise UsageError(f"the inputs cannot be read: {error}") from error
        problems = check_inputs(template.interface.inputs, literals)
        if problems:
            raise UsageError("; ".join(problems))
        if request.input_uri or not data:
            return request.input_uri
        if len(data) <= MAX_INLINE_BYTES:
            return encode_data_uri(data)
        return await self._write_inputs(data, base)

    async def _write_inputs(self, data: bytes, base: str) -> str:
        from airscrew.idl.template import content_hash

        uri = f"{base}/inputs/{content_hash(data)}.pb"
        await self.storage.write(uri, data)
        return uri

    # What showing asks.

    def output_prefix(self, execution: ExecutionId, options: Options, attempt: int) -> str:
        """Say where an attempt's files lie."""
        key = attempt_key(self.installation, options.uid, attempt)
        return self._locations(execution, options, attempt, key, None).output_prefix

    async def read_values(self, found: Found, template: object) -> OutputsView:
        """
        Read inputs and outputs, as bytes and as plain JSON.

        Raises:
            ApiError: ``unavailable`` while the storage is away; else ``failed``: they cannot be read any more.
        """
        assert isinstance(template, TaskTemplate)
        try:
            inputs = await self._bytes_at(found.options.input_uri)
            outputs = await self._bytes_at(found.record.output_uri)
            literals = decode_literal_map(outputs, template.wire) if outputs else {}
        except StorageUnavailableError as error:
            raise ApiError("unavailable", f"the values of {found.execution} cannot be read now: {error}") from error
        except (StorageError, PermanentError, WireError) as error:
            raise ApiError("failed", f"the values of {found.execution} cannot be read: {error}") from error
        declared = template.interface.outputs
        return OutputsView(
            wire=template.wire.value,
            inputs=inputs,
            outputs=outputs,
            values={name: to_json(literal, _type_of(declared, name)) for name, literal in literals.items()},
            types={name: type_name(variable.type) for name, variable in declared.items()},
        )

    async def read_log(
        self, found: Found, attempt: int, *, follow: bool, metrics: bool, is_over: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        """Read an attempt's log from its begin, with ``follow`` until it is over; or what its job measured."""
        path = self._kept_path(found, attempt, METRICS_NAME if metrics else LOG_NAME)
        offset = 0
        while True:
            over = not follow or await is_over()
            while data := read_part(path, offset):
                offset += len(data)
                yield data
            if over:
                return
            await asyncio.sleep(LOG_POLL_SECONDS)

    async def delete_files(self, found: Found) -> None:
        """Delete an execution's files, blobs and logs where they are the engine's own, on this machine."""
        options = found.options
        folders = list[Path]()
        for attempt in range(found.record.attempt + 1):
            key = attempt_key(self.installation, options.uid, attempt)
            locations = self._locations(found.execution, options, attempt, key, None)
            folders.append(Path(locations.work_directory))
            if options.output_base == self.base and is_local(self.base):
                folders.append(local_path(locations.raw_output_prefix))
        if options.output_base == self.base and is_local(self.base):
            folders.append(local_path(execution_prefix(self.base, found.execution, options.uid)))
        await asyncio.get_running_loop().run_in_executor(None, delete_folders, folders)

    async def _bytes_at(self, uri: str) -> bytes:
        if not uri:
            return b""
        try:
            return await self.storage.read(uri)
        except FileMissingError:
            return b""

    def _kept_path(self, found: Found, attempt: int, name: str) -> Path:
        key = attempt_key(self.installation, found.options.uid, attempt)
        locations = self._locations(found.execution, found.options, attempt, key, None)
        return Path(locations.work_directory) / name

    def _locations(
        self, execution: ExecutionId, options: Options, attempt: int, key: AttemptKey, before: AttemptKey | None
    ) -> Locations:
        return plan_locations(
            options.output_base or self.base,
            execution,
            options.uid,
            attempt,
            key,
            previous_key=before,
            wire=WireForm(options.wire),
            work_base=self.work_base,
        )


def rendered_texts(template: TaskTemplate) -> list[str]:
    """List what of a template is rendered before it runs: command and arguments of its container or Pod."""
    if template.container is not None:
        return [*template.container.command, *template.container.args]
    if template.k8s_pod is None:
        return []
    containers = template.k8s_pod.pod_spec.get("containers")
    texts: list[str] = []
    for container in containers if is_array(containers) else []:
        for words in (container.get("command"), container.get("args")) if is_object(container) else ():
            texts += [str(word) for word in words] if is_array(words) else []
    return texts


def delete_folders(folders: Iterable[Path]) -> None:
    """Delete folders with all that is in them; those that are not there are no matter."""
    from shutil import rmtree

    for folder in folders:
        # An attempt without a folder has "" for one, and that path is the process's own working directory.
        if folder.is_absolute():
            rmtree(folder, ignore_errors=True)


def read_part(path: Path, offset: int) -> bytes:
    """Read some of a file from an offset; empty at its end, or when there is no file yet."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(LOG_CHUNK_BYTES)
    except FileNotFoundError:
        return b""


@lru_cache(maxsize=512)
def declared_variables(outputs: bytes) -> Mapping[str, Variable]:
    """Read the declared outputs of a task as its options hold them; tasks of one template have the same."""
    if not outputs:
        return {}
    from flyteidl.core.interface_pb2 import VariableMap

    message = parse_message(VariableMap, outputs, "the declared outputs")
    return {name: Variable(type=message.variables[name].type) for name in sorted(message.variables)}


def _type_of(declared: Mapping[str, Variable], name: str) -> LiteralType | None:
    return declared[name].type if name in declared else None
