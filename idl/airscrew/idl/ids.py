"""
Identities: executions, their random UIDs, and the key of each attempt.

An execution is named by (namespace, name) and told apart from an earlier one of the same
name by its UID. An attempt's key is derived, never stored first and looked up later: the same
execution, attempt and item always give the same key, in every process and after every crash.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import NewType

import msgspec
from typing_extensions import override

from airscrew.idl.errors import UsageError

Uid = NewType("Uid", str)
"""32 lower-case hexadecimal digits, random, given at acceptance."""

AttemptKey = NewType("AttemptKey", str)
"""27 characters ``a[a-z2-7]{26}``: a DNS-1123 label that carries 128 bits."""

SHARDS = 256
"""Executions hash to so many shards; fixed for ever, because keys of the store carry it."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9._]{0,98}[a-z0-9])?")


class ExecutionId(msgspec.Struct, frozen=True, order=True):
    """
    The name of an execution: ``namespace/name``.

    Attributes:
        namespace: Groups executions of one tenant; the Kubernetes namespace on a cluster.
        name: Unique in the namespace while the execution is stored.
    """

    namespace: str
    name: str

    @override
    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def shard(self) -> int:
        """The shard that the execution hashes to, 0..255."""
        return _shard(self.namespace, self.name)

    @classmethod
    def parse(cls, text: str, default_namespace: str = "default") -> ExecutionId:
        """
        Read ``namespace/name`` or ``name``.

        Raises:
            UsageError: A part is not a valid name.
        """
        namespace, slash, name = text.rpartition("/")
        return cls(checked_name(namespace if slash else default_namespace, "namespace"), checked_name(name, "name"))


@lru_cache(maxsize=16_384)
def _shard(namespace: str, name: str) -> int:
    return hashlib.blake2b(f"{namespace}/{name}".encode(), digest_size=1).digest()[0]


def checked_name(text: str, what: str) -> str:
    """
    Return the text when it can name an execution or a namespace.

    Raises:
        UsageError: It cannot.
    """
    if _NAME.fullmatch(text):
        return text
    raise UsageError(
        f"{what} {text!r} is not valid: use 1 to 100 of a-z, 0-9, '-', '.', '_', "
        "beginning and ending with a letter or digit"
    )


@lru_cache(maxsize=16_384)
def attempt_key(installation: str, uid: Uid, attempt: int, item: int | None = None) -> AttemptKey:
    """
    Derive the key that everything created by an attempt carries.

    Args:
        installation: The UID of the store's installation.
        uid: The execution's UID.
        attempt: The attempt's number, 0 for the first.
        item: The item number within a job of many parts, if the attempt has items.
    """
    text = f"{installation}\0{uid}\0{attempt}\0{'' if item is None else item}"
    digest = hashlib.blake2b(text.encode(), digest_size=16, person=b"airscrew.key").digest()
    return AttemptKey("a" + _base32(digest))


_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]


def _base32(digest: bytes) -> str:
    """Write 16 bytes as ``base64.b32encode`` would, in lower case and without padding, in half of its time."""
    number = int.from_bytes(digest, "big") << 2
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
