from __future__ import annotations

import pytest

from airscrew.state.errors import StoreError, StoreFullError, StoreUnavailableError, TooLargeError
from airscrew.state.etcd.failures import CallError, Trouble, classify, translate


@pytest.mark.parametrize(
    ("code", "details", "trouble"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; last error: refused", Trouble.UNSENT),
        ("UNAVAILABLE", "etcdserver: leader changed", Trouble.AWAY),
        ("UNAVAILABLE", "etcdserver: request timed out", Trouble.AWAY),
        ("UNAVAILABLE", "Socket closed", Trouble.AWAY),
        ("DEADLINE_EXCEEDED", "", Trouble.AWAY),
        ("UNKNOWN", "something new", Trouble.AWAY),
        ("RESOURCE_EXHAUSTED", "etcdserver: too many requests", Trouble.AWAY),
        ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", Trouble.FULL),
        ("INVALID_ARGUMENT", "etcdserver: request is too large", Trouble.TOO_LARGE),
        ("INVALID_ARGUMENT", "etcdserver: too many operations in txn request", Trouble.TOO_LARGE),
        ("INVALID_ARGUMENT", "etcdserver: duplicate key given in txn request", Trouble.REFUSED),
        ("INVALID_ARGUMENT", "etcdserver: revision of auth store is old", Trouble.TOKEN),
        ("UNAUTHENTICATED", "etcdserver: invalid auth token", Trouble.TOKEN),
        ("INVALID_ARGUMENT", "etcdserver: authentication failed, invalid user ID or password", Trouble.DENIED),
        ("PERMISSION_DENIED", "etcdserver: permission denied", Trouble.DENIED),
        ("NOT_FOUND", "etcdserver: requested lease not found", Trouble.NO_LEASE),
        ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted", Trouble.COMPACTED),
        ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision", Trouble.REFUSED),
    ],
)
def test_an_error_is_known_by_what_etcd_says(code: str, details: str, trouble: Trouble) -> None:
    assert classify(code, details).trouble is trouble


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble.AWAY, StoreUnavailableError),
        (Trouble.UNSENT, StoreUnavailableError),
        (Trouble.DENIED, StoreUnavailableError),
        (Trouble.FULL, StoreFullError),
        (Trouble.TOO_LARGE, TooLargeError),
        (Trouble.REFUSED, StoreError),
    ],
)
def test_callers_are_told_in_the_ports_words(trouble: Trouble, kind: type[StoreError]) -> None:
    error = translate(CallError(trouble, "etcd said so"), "etcd://host:2379/p")

    assert type(error) is kind
    assert "etcd://host:2379/p" in str(error)
    assert "etcd said so" in str(error)
