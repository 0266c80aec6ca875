from __future__ import annotations

from pathlib import Path

import pytest

from airscrew.idl.errors import UsageError
from airscrew.state.store import Put
from airscrew.state.urls import open_store, store_path, without_secrets


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("memory:", None),
        ("sqlite:state.db", Path.cwd() / "state.db"),
        ("sqlite:/abs/state.db", Path("/abs/state.db")),
        ("sqlite:///abs/state.db", Path("/abs/state.db")),
        ("sqlite:~/state.db", Path.home() / "state.db"),
    ],
)
def test_an_address_names_a_file_or_none(url: str, path: Path | None) -> None:
    assert store_path(url) == path


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("etcd://user:secret@host:2379", "etcd://host:2379 cannot be opened: etcd is not available yet"),
        ("postgres://me:secret@host/db", "no such store: 'postgres://host/db'; name sqlite:PATH or memory:"),
        ("state.db", "no such store: 'state.db'"),
        ("memory:x", "no such store"),
        ("sqlite:", "no file in"),
        ("sqlite:folder/", "no file in"),
        ("sqlite://state.db", "sqlite:///PATH"),
    ],
)
async def test_a_wrong_address_is_refused_in_one_line(url: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        async with open_store(url):
            pass

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_address_is_shown_without_secrets() -> None:
    assert without_secrets("etcd://user:p@ss@host/prefix") == "etcd://host/prefix"
    assert without_secrets("sqlite:a@b.db") == "sqlite:a@b.db"


async def test_a_store_in_a_file_keeps_what_it_was_given(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/new/state.db"
    async with open_store(url) as store:
        await store.txn((), [Put("a", b"1")])

    async with open_store(url) as store:
        found = await store.get("a")

    assert found is not None
    assert found.value == b"1"
    assert (tmp_path / "new" / "state.db").stat().st_mode & 0o777 == 0o600


async def test_a_store_in_memory_forgets() -> None:
    async with open_store("memory:") as store:
        await store.txn((), [Put("a", b"1")])

    async with open_store("memory:") as store:
        assert await store.get("a") is None
