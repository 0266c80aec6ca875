from __future__ import annotations

from pathlib import Path

import pytest
from flyteidl.core import literals_pb2 as lit
from flyteidl.core import types_pb2 as typ
from tests.unit.engine.data.make import INTEGER, STRING, integer, literal_map, locations, text

from airscrew.engine.data.data_uri import MAX_INLINE_BYTES
from airscrew.engine.data.errors import SizeExceededError
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
from airscrew.engine.data.storage import Storage
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.literals import ErrorDocument, decode_literal_map, encode_error_document, encode_literal_map
from airscrew.idl.wire import WireForm

V1, V2 = WireForm.FLYTE1, WireForm.FLYTE2
DECLARED = {"o0": INTEGER}


def put(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)


def document(code: str, *, at: float | None = None, recoverable: bool = False, wire: WireForm = V1) -> bytes:
    error = ExecutionError(code=code, message="boom", kind=ErrorKind.USER, worker="w0" if wire is V1 else "")
    return encode_error_document(ErrorDocument(error=error, recoverable=recoverable, occurred_at=at), wire)


def good(wire: WireForm = V1) -> bytes:
    return encode_literal_map({"o0": integer(42)}, wire)


@pytest.mark.parametrize("wire", [V1, V2])
async def test_outputs_as_declared_are_outputs(storage: Storage, tmp_path: Path, wire: WireForm) -> None:
    put(tmp_path, "outputs.pb", good(wire))

    result = await read_result(storage, tmp_path.as_uri(), wire=wire, declared=DECLARED)

    assert isinstance(result, Outputs)
    assert result.literals["o0"] == integer(42)
    assert result.uri == (tmp_path / "outputs.pb").as_uri()
    assert result.size == len(good(wire))


@pytest.mark.parametrize(("wire", "name"), [(V1, "deck.html"), (V2, "report.html")])
async def test_the_page_for_people_is_found_whatever_the_result(
    storage: Storage, tmp_path: Path, wire: WireForm, name: str
) -> None:
    put(tmp_path, name, b"<html>")
    uri = str(tmp_path / name)

    nothing = await read_result(storage, str(tmp_path), wire=wire, declared=DECLARED)
    put(tmp_path, "outputs.pb", good(wire))
    outputs = await read_result(storage, str(tmp_path), wire=wire, declared=DECLARED)
    put(tmp_path, "error.pb", document("X", wire=wire))
    failed = await read_result(storage, str(tmp_path), wire=wire, declared=DECLARED)

    assert [nothing.deck_uri, outputs.deck_uri, failed.deck_uri] == [uri] * 3


@pytest.mark.parametrize("wire", [V1, V2])
async def test_an_error_wins_over_all_else(storage: Storage, tmp_path: Path, wire: WireForm) -> None:
    put(tmp_path, "outputs.pb", good(wire))
    put(tmp_path, "futures.pb", b"")
    put(tmp_path, "error.pb", document("USER:Recoverable", recoverable=True, wire=wire))

    result = await read_result(storage, str(tmp_path), wire=wire, declared=DECLARED)

    assert isinstance(result, Failed)
    assert (result.error.code, result.error.kind, result.recoverable) == ("USER:Recoverable", ErrorKind.USER, True)
    assert result.error.uri == str(tmp_path / "error.pb")


async def test_of_several_errors_the_earliest_one_counts(storage: Storage, tmp_path: Path) -> None:
    put(tmp_path, "error-1.pb", document("Late", at=20.0))
    put(tmp_path, "error-2.pb", document("First", at=10.0))
    put(tmp_path, "error-3.pb", document("Timeless"))

    result = await read_result(storage, str(tmp_path), wire=V1, declared={})

    assert isinstance(result, Failed)
    assert (result.error.code, result.error.worker, result.occurred_at) == ("First", "w0", 10.0)


async def test_futures_win_over_outputs(storage: Storage, tmp_path: Path) -> None:
    put(tmp_path, "outputs.pb", good())
    put(tmp_path, "futures.pb", b"plan")

    result = await read_result(storage, str(tmp_path), wire=V1, declared=DECLARED)

    assert result == Futures(data=b"plan", uri=str(tmp_path / "futures.pb"))


@pytest.mark.parametrize("data", [b"\xff\xff", b""])
async def test_an_error_document_that_is_none_is_the_systems_and_recoverable(
    storage: Storage, tmp_path: Path, data: bytes
) -> None:
    put(tmp_path, "error.pb", data)

    result = await read_result(storage, str(tmp_path), wire=V1, declared={})

    assert isinstance(result, Failed)
    assert (result.error.code, result.error.kind) == ("ErrorFileBadFormat", ErrorKind.SYSTEM)
    assert result.recoverable


@pytest.mark.parametrize(
    ("data", "code", "recoverable"),
    [
        (encode_literal_map({}, V1), "OutputsNotFound", True),
        (encode_literal_map({"other": integer(1)}, V1), "OutputsNotFound", True),
        (encode_literal_map({"o0": text("no")}, V1), "OutputsInvalid", False),
        (b"\xff\xff", "OutputsInvalid", False),
        (b"x" * 101, "OutputSizeExceeded", False),
    ],
)
async def test_outputs_that_are_not_as_declared_fail(
    storage: Storage, tmp_path: Path, data: bytes, code: str, recoverable: bool
) -> None:
    put(tmp_path, "outputs.pb", data)

    result = await read_result(storage, str(tmp_path), wire=V1, declared=DECLARED, limit=100)

    assert isinstance(result, Failed)
    assert (result.error.code, result.error.kind, result.recoverable) == (code, ErrorKind.USER, recoverable)


async def test_nothing_is_enough_for_a_task_that_declares_nothing(storage: Storage, tmp_path: Path) -> None:
    result = await read_result(storage, f"{tmp_path}/none", wire=V1, declared={})

    assert result == Outputs(literals={}, uri="", size=0)


async def test_nothing_is_missing_for_a_task_that_declares_something(storage: Storage, tmp_path: Path) -> None:
    result = await read_result(storage, f"{tmp_path}/none/", wire=V1, declared=DECLARED)

    assert result == Missing(uri=f"{tmp_path}/none/outputs.pb")
    failed = missing_failure(result, DECLARED)
    assert (failed.error.code, failed.recoverable) == ("OutputsNotFound", True)
    assert "o0" in failed.error.message


async def test_outputs_beyond_the_declared_ones_are_kept(storage: Storage, tmp_path: Path) -> None:
    put(tmp_path, "outputs.pb", encode_literal_map({"o0": integer(1), "more": text("x")}, V1))

    result = await read_result(storage, str(tmp_path), wire=V1, declared=DECLARED)

    assert isinstance(result, Outputs)
    assert set(result.literals) == {"o0", "more"}


def test_an_offloaded_output_is_taken_by_the_type_of_its_writer() -> None:
    kind = typ.LiteralType(simple=typ.INTEGER)
    literal = lit.Literal(offloaded_metadata=lit.LiteralOffloadedMetadata(uri="s3://b/x", inferred_type=kind))

    assert check_outputs({"o0": literal}, DECLARED) is None
    assert check_outputs({"o0": literal}, {"o0": STRING}) is not None


async def test_a_failed_attempt_tells_why_or_nothing(storage: Storage, tmp_path: Path) -> None:
    put(tmp_path, "deck.html", b"")
    nothing, deck = await read_failure(storage, str(tmp_path), wire=V1)
    put(tmp_path, "error.pb", document("USER:X"))

    failed, _ = await read_failure(storage, str(tmp_path), wire=V1)

    assert (nothing, deck) == (None, str(tmp_path / "deck.html"))
    assert failed is not None
    assert failed.error.code == "USER:X"


@pytest.mark.parametrize("wire", [V1, V2])
async def test_small_outputs_travel_in_their_uri(storage: Storage, tmp_path: Path, wire: WireForm) -> None:
    uri = await store_outputs(storage, literal_map(o0=integer(1)).literals, wire, locations(str(tmp_path)))

    assert uri.startswith("data:")
    assert decode_literal_map(await storage.read(uri), wire) == {"o0": integer(1)}
    assert await storage.list(locations(str(tmp_path)).output_prefix) == []


async def test_large_outputs_go_to_a_file(storage: Storage, tmp_path: Path) -> None:
    large = {"o0": text("x" * MAX_INLINE_BYTES)}

    uri = await store_outputs(storage, large, V1, locations(tmp_path.as_uri()))

    assert uri == f"{tmp_path.as_uri()}/team/hello-01234567/0/outputs.pb"
    assert decode_literal_map(await storage.read(uri), V1) == large


async def test_small_outputs_are_a_file_for_somebody_who_wants_one(storage: Storage, tmp_path: Path) -> None:
    uri = await store_outputs(storage, {"o0": integer(1)}, V1, locations(str(tmp_path)), as_file=True)

    assert Path(uri).name == "outputs.pb"


async def test_no_outputs_need_no_place(storage: Storage, tmp_path: Path) -> None:
    assert await store_outputs(storage, {}, V1, locations(str(tmp_path))) == ""


async def test_outputs_over_the_limit_are_not_stored(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(SizeExceededError):
        await store_outputs(storage, {"o0": text("x" * 100)}, V1, locations(str(tmp_path)), limit=100)
