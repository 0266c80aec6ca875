"""The engine's interface over a store in memory, without a controller: the test is the owner of all records."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import msgspec
from flyteidl.core import tasks_pb2
from tests.support.faulty_store import FaultyStore
from tests.support.scripted import Scripted
from tests.support.templates import echo_template

from airscrew.engine.api.model import OutputsView, SubmitRequest
from airscrew.engine.data.errors import StorageUnavailableError
from airscrew.engine.registry import Registry
from airscrew.engine.service.prune import Pruner
from airscrew.engine.service.reader import Found, Reader
from airscrew.engine.service.service import EngineService
from airscrew.engine.service.submission import Submitter
from airscrew.idl.errors import UsageError
from airscrew.idl.ids import ExecutionId, Uid
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.records import Record, Stage, decode_record, encode_record
from airscrew.state.store import Put, prefix_end


class Wall:
    """The time, set by hand."""

    def __init__(self) -> None:
        self.time = 5000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class Desk:
    """A data plane that notes what it is asked."""

    def __init__(self) -> None:
        self.problem = ""
        self.storage_trouble = ""
        self.deleted: list[str] = []

    def output_base(self, execution: ExecutionId, uid: Uid, wanted: str) -> str:
        return wanted or "memory:base"

    def check_template(self, template: object, request: SubmitRequest) -> None:
        if self.problem:
            raise UsageError(self.problem)

    async def place_inputs(self, template: object, request: SubmitRequest, base: str) -> str:
        if self.storage_trouble:
            raise StorageUnavailableError(self.storage_trouble)
        return request.input_uri or "data:,"

    async def read_values(self, found: Found, template: object) -> OutputsView:
        return OutputsView(wire="flyte1")

    async def read_log(self, found: Found, attempt: int, **_: object):
        yield f"log of {attempt}".encode()

    async def delete_files(self, found: Found) -> None:
        self.deleted.append(found.execution.name)


@dataclass
class Office:
    """Everything that the service needs, and shortcuts to what it stores."""

    store: FaultyStore = field(default_factory=FaultyStore)
    desk: Desk = field(default_factory=Desk)
    clock: Wall = field(default_factory=Wall)
    draining: bool = False
    known: list[str] = field(default_factory=list)
    announced: list[str] = field(default_factory=list)
    api: EngineService = field(init=False)

    def __post_init__(self) -> None:
        random, registry = Random(3), Registry()
        registry.register(Scripted())
        reader = Reader(self.store, "i" * 32, lambda execution, options, attempt: f"memory:{execution}/{attempt}")
        submitter = Submitter(
            store=self.store,
            registry=registry,
            desk=self.desk,
            clock=self.clock,
            new_uid=lambda: Uid(f"{random.getrandbits(128):032x}"),
            announce=lambda execution, _: self.announced.append(execution.name),
            timeouts={"queued": 60.0},
        )
        self.api = EngineService(
            store=self.store,
            reader=reader,
            desk=self.desk,
            list_executors=list,
            submitter=submitter,
            pruner=Pruner(self.store, reader, self.desk.delete_files),
            clock=self.clock,
            is_draining=lambda: self.draining,
            on_known=self.known.append,
        )

    def request(self, name: str = "a", **changes: object) -> SubmitRequest:
        return SubmitRequest(**{"name": name, "template": template_bytes(), **changes})  # type: ignore[arg-type]

    async def submit(self, name: str = "a", **changes: object) -> str:
        return (await self.api.submit(self.request(name, **changes))).execution

    async def set(self, name: str = "a", **changes: object) -> Record:
        """Write a record, as the owner does."""
        key = keys.record_key(ExecutionId("default", name))
        found = await self.store.inner.get(key)
        uid = (await self.api.reader.find(f"default/{name}")).options.uid
        record = Record(uid=uid) if found is None else decode_record(found.value)
        record = msgspec.structs.replace(record, **changes)
        await self.store.inner.txn([], [Put(key, encode_record(record))])
        return record

    async def end(self, name: str = "a", at: float = 1000.0, **changes: object) -> None:
        await self.set(name, **{"stage": Stage.DONE, "phase": Phase.SUCCESS, "ended_at": at, **changes})

    async def below(self, prefix: str) -> list[str]:
        page = await self.store.inner.range(prefix, prefix_end(prefix), limit=10_000)
        return [item.key for item in page.items]


def template_bytes(name: str = "demo.task", task_type: str = "job", **metadata: object) -> bytes:
    made = echo_template(name=name, task_type=task_type)
    made.metadata.CopyFrom(tasks_pb2.TaskMetadata(**metadata))
    return made.SerializeToString()
