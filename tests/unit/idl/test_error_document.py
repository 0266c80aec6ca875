from __future__ import annotations

import pytest
from flyteidl.core.errors_pb2 import ErrorDocument as Document1
from flyteidl2.core.execution_pb2 import ErrorDocument as Document2
from hypothesis import given
from hypothesis import strategies as st

from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.literals import ErrorDocument, decode_error_document, encode_error_document
from airscrew.idl.wire import WireError, WireForm


def written(code="USER:RuntimeError", message="Traceback…\nValueError: boom", kind=0, origin=1) -> Document1:
    document = Document1()
    document.error.code, document.error.message = code, message
    document.error.kind, document.error.origin = kind, origin
    return document


def test_an_error_of_flytekit_is_read():
    document = written()
    document.error.worker = "worker-3"
    document.error.timestamp.FromJsonString("2024-01-01T00:00:00.5Z")

    read = decode_error_document(document.SerializeToString(), WireForm.FLYTE1, uri="s3://out/error.pb")

    assert read == ErrorDocument(
        error=ExecutionError(
            code="USER:RuntimeError",
            message="Traceback…\nValueError: boom",
            kind=ErrorKind.USER,
            uri="s3://out/error.pb",
            worker="worker-3",
        ),
        recoverable=False,
        occurred_at=1704067200.5,
    )


def test_an_error_of_flyte_2_is_read():
    document = Document2()
    document.error.code, document.error.message = "ValueError", "boom"
    document.error.kind, document.error.origin = 1, 1

    read = decode_error_document(document.SerializeToString(), WireForm.FLYTE2)

    assert read == ErrorDocument(
        error=ExecutionError(code="ValueError", message="boom", kind=ErrorKind.USER), recoverable=True
    )


@pytest.mark.parametrize(
    ("origin", "kind"), [(0, ErrorKind.UNKNOWN), (1, ErrorKind.USER), (2, ErrorKind.SYSTEM), (9, ErrorKind.UNKNOWN)]
)
def test_the_origin_says_whose_failure_it_is(origin, kind):
    data = written(origin=origin).SerializeToString()

    assert decode_error_document(data, WireForm.FLYTE1).error.kind is kind


@pytest.mark.parametrize(("kind", "recoverable"), [(0, False), (1, True), (7, False)])
def test_the_kind_says_whether_it_is_worth_trying_again(kind, recoverable):
    data = written(kind=kind).SerializeToString()

    assert decode_error_document(data, WireForm.FLYTE1).recoverable is recoverable


def test_an_error_without_a_code_gets_one():
    data = written(code="").SerializeToString()

    assert decode_error_document(data, WireForm.FLYTE1).error.code == "Unknown"


def test_a_very_long_traceback_is_cut():
    data = written(message="x" * 100_000).SerializeToString()

    assert len(decode_error_document(data, WireForm.FLYTE1).error.message) <= 16 * 1024


@pytest.mark.parametrize("wire", WireForm)
@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"\x0a\x05abc", b"hello"])
def test_bytes_that_are_no_error_are_told(data, wire):
    with pytest.raises(
        WireError, match=r"^the error document (is not a flyteidl2?\.core\.ErrorDocument|holds no error)"
    ):
        decode_error_document(data, wire)


documents = st.builds(
    ErrorDocument,
    error=st.builds(
        ExecutionError,
        code=st.text(min_size=1, max_size=9),
        message=st.text(max_size=50),
        kind=st.sampled_from(ErrorKind),
        worker=st.text(max_size=5),
    ),
    recoverable=st.booleans(),
    occurred_at=st.none() | st.integers(0, 2**31).map(float),
)


@given(documents)
def test_what_is_written_is_read_back(document):
    assert decode_error_document(encode_error_document(document, WireForm.FLYTE1), WireForm.FLYTE1) == document


@given(documents)
def test_flyte_2_leaves_time_and_worker_out(document):
    read = decode_error_document(encode_error_document(document, WireForm.FLYTE2), WireForm.FLYTE2)

    assert (read.error.code, read.error.message, read.error.kind) == (
        document.error.code,
        document.error.message,
        document.error.kind,
    )
    assert (read.recoverable, read.occurred_at, read.error.worker) == (document.recoverable, None, "")
