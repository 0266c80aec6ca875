"""A flytekit task whose outputs, error, page and files are in an S3-compatible store: by the process executor."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from tests.e2e.tasks import container
from tests.e2e.user import User
from tests.support.object_stores import ObjectStore

from airscrew.engine.data.outputs import Failed, Outputs, read_result
from airscrew.engine.data.storage import Storage
from airscrew.idl.wire import WireForm

SOURCE = """
import os
from pathlib import Path

from flytekit import Deck, task
from flytekit.types.file import FlyteFile


@task(enable_deck=True)
def page(title: str) -> str:
    Deck("report", f"<h1>{title}</h1>")
    return title.upper()


@task
def broken(x: int) -> int:
    return 1 // x


@task
def make_file(text: str) -> FlyteFile:
    path = Path(os.getcwd(), "made.txt")
    path.write_text(text)
    return FlyteFile(str(path))
"""

_numbers = count(1)


@pytest.fixture
def s3(object_stores: Callable[[str], ObjectStore], monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A store that this test and the user may read and write."""
    store = object_stores("s3")
    for name, value in store.environ.items():
        monkeypatch.setenv(name, value)
    return store


@pytest.fixture
def prefix(s3: ObjectStore) -> str:
    return f"{s3.base}/runs-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "flow.py"
    file.write_text(SOURCE)
    return file


async def test_outputs_and_the_page_of_a_task_lie_in_the_store(user: User, source: Path, prefix: str) -> None:
    done = user.run("run", "--name", "p", "--output-prefix", prefix, source, "page", "--title", "hello")

    assert 'o0: str = "HELLO"' in done.out
    view = user.get("p")
    assert view["deck_uri"].startswith(f"{prefix}/default/p-")
    async with Storage() as storage:
        attempt = view["deck_uri"].rpartition("/")[0]
        assert b"<h1>hello</h1>" in await storage.read(f"{attempt}/deck.html")
        result = await read_result(storage, attempt, wire=WireForm.FLYTE1, declared={})
    assert isinstance(result, Outputs)
    assert result.literals["o0"].scalar.primitive.string_value == "HELLO"


async def test_the_error_of_a_task_is_read_from_the_store(user: User, source: Path, prefix: str) -> None:
    done = user.run("run", "--name", "b", "--output-prefix", prefix, source, "broken", "--x", "0", code=1)

    assert "ZeroDivisionError" in done.err
    async with Storage() as storage:
        uid = user.get("b")["uid"]
        result = await read_result(storage, f"{prefix}/default/b-{uid[:8]}/0", wire=WireForm.FLYTE1, declared={})
    assert isinstance(result, Failed)
    assert "ZeroDivisionError" in result.error.message


async def test_a_file_that_a_task_gives_lies_in_the_store(user: User, source: Path, prefix: str) -> None:
    done = user.run("run", "--output-prefix", prefix, source, "make_file", "--text", "inside", "-o", "json")

    uri = next(word for word in done.out.replace('"', " ").split() if word.startswith(f"{prefix}/raw/"))
    async with Storage() as storage:
        assert await storage.read(uri) == b"inside"


def test_no_credential_is_written_anywhere(user: User, source: Path, prefix: str, s3: ObjectStore) -> None:
    user.run("run", "--output-prefix", prefix, source, "page", "--title", "x")
    user.variables |= dict(s3.wrong)
    denied = user.run("run", "--name", "w", "--output-prefix", prefix, source, "page", "--title", "x", code=None)

    assert denied.code != 0
    written = b"".join(file.read_bytes() for file in user.home.rglob("*") if file.is_file())
    for secret in s3.secrets[:1]:
        assert secret.encode() not in written
        assert secret not in f"{denied.out}{denied.err}"


def test_inputs_that_are_denied_are_a_mistake_that_names_the_bucket(user: User, s3: ObjectStore) -> None:
    user.variables |= dict(s3.wrong)

    said = user.run("run", container(user.folder / "c.json", ["true"]), "--inputs", f"{s3.base}/in.pb", code=2).error

    assert (
        f"the inputs cannot be read: {s3.base}/in.pb: the bucket 'test' denied it (403 SignatureDoesNotMatch)" in said
    )


def test_inputs_whose_storage_is_away_are_unavailable_and_no_mistake(user: User, s3: ObjectStore) -> None:
    user.variables |= {**s3.environ, "FLYTE_AWS_ENDPOINT": "http://127.0.0.1:9"}

    said = user.run("run", container(user.folder / "c.json", ["true"]), "--inputs", "s3://test/in.pb", code=3).error

    assert said.startswith("the inputs are out of reach for now; submit the same again: s3://test/in.pb: ")
