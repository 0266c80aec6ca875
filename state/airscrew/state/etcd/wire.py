"""
etcd's messages: the one module that knows ``aetcd``, whose generated messages and stubs it uses.

The messages have no types that a checker sees, so they stay between here and ``link``: what comes in and what goes out
is the port's own data. Of aetcd's client nothing is used: it knows one member and no TLS, and drops its watches when
their stream breaks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from airscrew.idl.errors import UsageError
from airscrew.state.store import ANY, Compare, Delete, DeleteRange, Event, KeyValue, Operation, Put

try:
    from aetcd import rpc as _rpc  # pyright: ignore[reportMissingTypeStubs]
except ImportError as error:
    raise UsageError("a store in etcd needs aetcd: pip install 'airscrew[etcd]'") from error

rpc: Any = _rpc
Message: TypeAlias = Any
"""A message of etcd's protocol, in or out."""

_QUOTA_FIELD = 12
"""``dbSizeQuota`` of StatusResponse, which etcd tells since 3.6 and aetcd does not know by name."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """
    The keys below a prefix, as etcd names them and as the store does.

    Attributes:
        prefix: What etcd's names begin with.
    """

    prefix: bytes

    def outside(self, key: str) -> bytes:
        """Name a key as etcd does."""
        return self.prefix + key.encode()

    def inside(self, key: bytes) -> str:
        """Name a key as the store does; bytes that somebody else wrote and that are no text do no harm."""
        return key[len(self.prefix) :].decode(errors="surrogateescape")

    def key_value(self, kv: Message) -> KeyValue:
        """Read a stored key."""
        return KeyValue(
            key=self.inside(kv.key),
            value=kv.value,
            create_revision=kv.create_revision,
            mod_revision=kv.mod_revision,
            lease=kv.lease,
        )

    def event(self, event: Message) -> Event:
        """Read an event."""
        kv = event.kv
        return Event(self.inside(kv.key), None if event.type else kv.value, kv.mod_revision)

    def get(self, key: str) -> Message:
        """Ask for one key."""
        return rpc.RangeRequest(key=self.outside(key))

    def range(self, start: str, end: str, limit: int, revision: int) -> Message:
        """Ask for a range, as of a revision or (0) the newest one."""
        return rpc.RangeRequest(key=self.outside(start), range_end=self.outside(end), limit=limit, revision=revision)

    def txn(self, compares: Iterable[Compare], operations: Iterable[Operation], asked: Iterable[str]) -> Message:
        """Ask for a transaction, and to be told the revisions of some keys when it fails."""
        return rpc.TxnRequest(
            compare=[self._compare(compare) for compare in compares],
            success=[self._operation(operation) for operation in operations],
            failure=[
                rpc.RequestOp(request_range=rpc.RangeRequest(key=self.outside(key), keys_only=True)) for key in asked
            ],
        )

    def watch(self, start: str, end: str, revision: int) -> Message:
        """Ask for the events of a range from a revision on."""
        create = rpc.WatchCreateRequest(
            key=self.outside(start),
            range_end=self.outside(end),
            start_revision=revision,
            progress_notify=True,
            fragment=True,
        )
        return rpc.WatchRequest(create_request=create)

    def _compare(self, compare: Compare) -> Message:
        kinds = rpc.Compare
        key = self.outside(compare.key)
        if compare.mod_revision == ANY:
            return kinds(result=kinds.GREATER, target=kinds.VERSION, key=key, version=0)
        return kinds(result=kinds.EQUAL, target=kinds.MOD, key=key, mod_revision=compare.mod_revision)

    def _operation(self, operation: Operation) -> Message:
        match operation:
            case Put(key, value, lease):
                return rpc.RequestOp(request_put=rpc.PutRequest(key=self.outside(key), value=value, lease=lease))
            case Delete(key):
                return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=self.outside(key)))
            case DeleteRange(start, end):
                span = rpc.DeleteRangeRequest(key=self.outside(start), range_end=self.outside(end))
                return rpc.RequestOp(request_delete_range=span)


def found_revisions(answer: Message) -> Sequence[int]:
    """Read the revisions that a failed transaction was asked for: 0 for a key that is not there."""
    kvs = (response.response_range.kvs for response in answer.responses)
    return [found[0].mod_revision if found else 0 for found in kvs]


def quota_of(status: Message) -> int:
    """Read the quota out of a member's status; 0 from an etcd that does not tell it."""
    from google.protobuf.unknown_fields import UnknownFieldSet

    fields: Any = UnknownFieldSet(status)  # its stubs say that it cannot be iterated
    for field in fields:
        if field.field_number == _QUOTA_FIELD and isinstance(field.data, int):
            return int(field.data)
    return 0
