"""
An API server in memory, for tests of plugins over Kubernetes: the conformance kit judges them without a cluster.

It is a fake, and this is where it lies: it keeps objects of any kind and checks none of their fields; there is no
admission, no quota, no events, no garbage collection, and no watch: configure the executor with ``watch: false``. What
it does as the real one does: one object for a name, a UID for each, labels that lists select by, preconditions and
finalizers of deletions. ``play`` stands for the controllers: it says what an object's status is at an age.
"""

from __future__ import annotations

import asyncio
import datetime
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from typing_extensions import override

from airscrew.engine.clock import Clock
from airscrew.engine.testing.job_service import Fault
from airscrew.plugins.kubernetes.api.connection import ClusterConfig, Connection, Reply, StreamRefusedError
from airscrew.plugins.kubernetes.names import ATTEMPT_KEY

JsonObject = dict[str, Any]
"""An object as JSON holds it."""

Play = Callable[[JsonObject, float], JsonObject]
"""Says what an object's status is, so many seconds after it was made."""

_NOT_ALLOWED = 405
_PATIENCE = 7.0


@dataclass(slots=True)
class _Injected:
    fault: Fault
    times: int
    methods: frozenset[str]


@dataclass(slots=True, kw_only=True)
class MemoryCluster(Connection):
    """
    The API server, and the way to it.

    Attributes:
        clock: Its time.
        play: Is the controllers.
        slow_seconds: How long an answer takes under ``Fault.SLOW``.
        counts: How many requests it got, by method.
        created: How many objects were made for each attempt's key, deleted ones included.
    """

    clock: Clock
    play: Play
    slow_seconds: float = 60.0
    counts: dict[str, int] = field(default_factory=dict[str, int])
    created: Counter[str] = field(default_factory=Counter[str])
    _objects: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    _made_at: dict[str, float] = field(default_factory=dict[str, float])
    _faults: list[_Injected] = field(default_factory=list[_Injected])
    _late: list[tuple[float, str, bytes | None]] = field(default_factory=list[tuple[float, str, bytes | None]])
    _version: int = 0

    @asynccontextmanager
    async def connect(self, _: ClusterConfig) -> AsyncIterator[Connection]:
        """Be the ``connect`` of an executor."""
        yield self

    def live(self, key: str) -> int:
        """Count the objects of an attempt that are there and have not ended."""
        return sum(self._is_live(path) for path in self._paths_of(key))

    def delete(self, key: str) -> None:
        """Delete the objects of an attempt behind the executor's back, whatever would keep them."""
        for path in self._paths_of(key):
            del self._objects[path]

    def inject(self, fault: Fault, *, times: int = 1, methods: Iterable[str] = ()) -> None:
        """Spoil the next so many requests of these methods; of any method when none is named."""
        self._faults.append(_Injected(fault, times, frozenset(methods)))

    def heal(self) -> None:
        """Take back all faults that have not happened yet."""
        self._faults.clear()

    @override
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        kind: str = "application/json",
        timeout: float = 30.0,
    ) -> Reply:
        self.counts[method] = self.counts.get(method, 0) + 1
        self._deliver_late()
        await asyncio.sleep(0)
        fault = self._take_fault(method)
        match fault:
            case Fault.REFUSED:
                raise ConnectionRefusedError("connection refused, on purpose")
            case Fault.LOST_REQUEST:
                raise ConnectionResetError("the connection broke, on purpose")
            case Fault.TOO_MANY | Fault.BUSY:
                return _status(429, "TooManyRequests", _PATIENCE)
            case Fault.ERROR:
                return _status(500, "InternalError")
            case Fault.LATE:
                self._late.append((self.clock.monotonic() + timeout, path, body))
                await asyncio.sleep(timeout)
                raise TimeoutError("no answer, on purpose")
            case Fault.SLOW:
                await asyncio.sleep(min(self.slow_seconds, timeout))
                if self.slow_seconds >= timeout:
                    raise TimeoutError("no answer in time, on purpose")
            case Fault.TWICE:
                self._answer(method, path, query or {}, body)
            case _:
                pass
        reply = self._answer(method, path, query or {}, body)
        if fault is Fault.LOST_REPLY:
            raise ConnectionResetError("the connection broke before the answer, on purpose")
        return Reply(200, b"<html>\xff no JSON") if fault is Fault.GARBAGE else reply

    @override
    async def stream(self, path: str, *, query: Mapping[str, str], idle: float) -> AsyncIterator[bytes]:
        raise StreamRefusedError(_status(_NOT_ALLOWED, "MethodNotAllowed"))
        yield b""  # what makes it a generator

    def _answer(self, method: str, path: str, query: Mapping[str, str], body: bytes | None) -> Reply:
        match method:
            case "POST":
                return self._create(path, cast("JsonObject", json.loads(body or b"{}")))
            case "GET" if path in self._objects:
                return _reply(200, self._seen(path))
            case "GET" if path.rpartition("/")[0] and not self._is_collection(path):
                return _status(404, "NotFound")
            case "GET":
                return self._list(path, query)
            case _ if path not in self._objects:
                return _status(404, "NotFound")
            case "DELETE":
                return self._delete(path, cast("JsonObject", json.loads(body or b"{}")))
            case "PATCH":
                return self._patch(path, cast("JsonObject", json.loads(body or b"{}")))
            case _:
                return _status(_NOT_ALLOWED, "MethodNotAllowed")

    def _create(self, where: str, made: JsonObject) -> Reply:
        metadata: JsonObject = made["metadata"]
        path = f"{where}/{metadata['name']}"
        if path in self._objects:
            return _status(409, "AlreadyExists")
        now = datetime.datetime.fromtimestamp(self.clock.now(), datetime.UTC)
        metadata |= {"uid": f"uid-{self._next()}", "creationTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        self._objects[path] = made
        self._made_at[metadata["uid"]] = self.clock.monotonic()
        self.created[_labels(made).get(ATTEMPT_KEY, "")] += 1
        return _reply(201, self._seen(path))

    def _list(self, where: str, query: Mapping[str, str]) -> Reply:
        wanted = [pair.partition("=")[::2] for pair in query.get("labelSelector", "").split(",") if pair]
        found = [
            self._seen(path)
            for path, one in sorted(self._objects.items())
            if _is_below(path, where) and all(_labels(one).get(name) == value for name, value in wanted)
        ]
        return _reply(200, {"metadata": {"resourceVersion": str(self._next())}, "items": found})

    def _delete(self, path: str, options: JsonObject) -> Reply:
        metadata: JsonObject = self._objects[path]["metadata"]
        if options.get("preconditions", {}).get("uid", metadata["uid"]) != metadata["uid"]:
            return _status(409, "Conflict")
        seen = self._seen(path)
        if metadata.get("finalizers"):
            metadata.setdefault("deletionTimestamp", "2026-01-01T00:00:00Z")
            return _reply(200, self._seen(path))
        del self._objects[path]
        return _reply(200, seen)

    def _patch(self, path: str, change: JsonObject) -> Reply:
        metadata: JsonObject = self._objects[path]["metadata"]
        wanted: JsonObject = change["metadata"]
        if wanted.get("uid", metadata["uid"]) != metadata["uid"]:
            return _status(409, "Conflict")
        for name, value in wanted.items():
            metadata[name] = {**metadata.get(name, {}), **value} if isinstance(value, dict) else value
        seen = self._seen(path)
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            del self._objects[path]
        return _reply(200, seen)

    def _seen(self, path: str) -> JsonObject:
        """Show an object as it is now."""
        one = self._objects[path]
        metadata = {name: value for name, value in one["metadata"].items() if value is not None}
        age = self.clock.monotonic() - self._made_at[metadata["uid"]]
        version = {"resourceVersion": str(self._next())}
        return {**one, "metadata": {**metadata, **version}, "status": self.play(one, age)}

    def _is_live(self, path: str) -> bool:
        return bool(self._seen(path)["status"].get("active", 1)) and path in self._objects

    def _is_collection(self, path: str) -> bool:
        """Tell a list of objects from one object: that ends in a plural, as deep as paths of this API go."""
        steps = path.strip("/").split("/")
        depth = len(steps) - (2 if steps[0] == "api" else 3)
        return depth == 1 or (steps[-depth] == "namespaces" and depth == 3)  # noqa: PLR2004 - namespaces/NAME/PLURAL

    def _paths_of(self, key: str) -> list[str]:
        self._deliver_late()
        return [path for path, one in self._objects.items() if _labels(one).get(ATTEMPT_KEY) == key]

    def _deliver_late(self) -> None:
        now = self.clock.monotonic()
        due = [(path, body) for at, path, body in self._late if at <= now]
        self._late = [one for one in self._late if one[0] > now]
        for path, body in due:
            self._answer("POST", path, {}, body)

    def _take_fault(self, method: str) -> Fault | None:
        for injected in self._faults:
            if injected.times > 0 and (not injected.methods or method in injected.methods):
                injected.times -= 1
                return injected.fault
        return None

    def _next(self) -> int:
        self._version += 1
        return self._version


def _labels(one: JsonObject) -> Mapping[str, str]:
    return cast("Mapping[str, str]", one["metadata"].get("labels") or {})


def _is_below(path: str, where: str) -> bool:
    """Tell whether an object is in a collection: of its namespace, or of all."""
    parent = path.rpartition("/")[0]
    if parent == where:
        return True
    base, _, plural = where.rpartition("/")
    return parent.startswith(f"{base}/namespaces/") and parent.endswith(f"/{plural}")


def _reply(status: int, told: JsonObject) -> Reply:
    return Reply(status, json.dumps(told).encode())


def _status(code: int, reason: str, retry_after: float | None = None) -> Reply:
    told = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": f"{reason}, on purpose"}
    return Reply(code, json.dumps(told).encode(), retry_after)
