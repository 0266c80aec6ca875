from __future__ import annotations

import sys
from pathlib import Path

import pytest

from airscrew.idl.errors import UsageError
from airscrew.state.store import Put
from airscrew.state.urls import open_store, store_path, without_secrets


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("memory:", None),
        ("etcd://localhost", None),
        ("etcds://a:1,b:2/prefix?user=me", None),
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
        ("etcd://user:secret@host:2379", "no user and password before host:2379"),
        ("postgres://me:secret@host/db", "no such store: 'postgres://host/db'; name sqlite:PATH"),
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


async def test_a_store_in_etcd_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("airscrew.state.etcd.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aetcd", None)

    with pytest.raises(UsageError, match=r"pip install 'airscrew\[etcd\]'"):
        async with open_store("etcd://127.0.0.1:1"):
            pass


async def test_a_store_in_memory_forgets() -> None:
    async with open_store("memory:") as store:
        await store.txn((), [Put("a", b"1")])

    async with open_store("memory:") as store:
        assert await store.get("a") is None
