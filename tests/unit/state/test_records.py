from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.ids import AttemptKey, Uid
from airscrew.idl.phase import ExternalResource, LogLink, Phase, TaskInfo
from airscrew.state.errors import TooLargeError
from airscrew.state.records import (
    MAX_RECORD_BYTES,
    NO_STATE,
    SCHEMA_VERSION,
    CacheOptions,
    Doubt,
    Intent,
    LedgerEntry,
    LedgerState,
    Options,
    PastAttempt,
    PhaseEvent,
    Place,
    Record,
    RecordError,
    Request,
    Stage,
    Verdict,
    decode,
    decode_options,
    decode_record,
    encode,
    encode_record,
    form_of,
    system_error,
    user_error,
)

text = st.text(max_size=20)
times = st.floats(0, 1e11)
phases = st.sampled_from(Phase)
errors = st.builds(ExecutionError, code=text, message=text, kind=st.sampled_from(ErrorKind), uri=text)
infos = st.builds(
    TaskInfo,
    logs=st.lists(st.builds(LogLink, name=text, uri=text), max_size=2).map(tuple),
    external_resources=st.lists(st.builds(ExternalResource, external_id=text, phase=phases), max_size=2).map(tuple),
    progress=st.none() | st.floats(0, 1),
)
verdicts = st.builds(
    Verdict, phase=phases, at=times, error=st.none() | errors, kill=st.booleans(), hidden=st.booleans(), delay=times
)
states = st.dictionaries(text, st.integers(-(2**53), 2**53) | text, max_size=3).map(
    lambda value: msgspec.Raw(msgspec.json.encode(value))
)
records = st.builds(
    Record,
    uid=st.just(Uid("0" * 32)),
    stage=st.sampled_from(Stage),
    phase=phases,
    version=st.integers(0, 10**6),
    reason=text,
    since=times,
    info=infos,
    attempt=st.integers(0, 1000),
    intent=st.none() | st.builds(Intent, nonce=text, written_at=times, unknown_since=times, tries=st.integers(1, 9)),
    state=st.just(NO_STATE) | states,
    state_version=st.integers(0, 9),
    created=st.booleans(),
    verdict=st.none() | verdicts,
    error=st.none() | errors,
    attempts=st.lists(st.builds(PastAttempt, attempt=st.integers(0, 9), phase=phases), max_size=3).map(tuple),
)


class TestRecord:
    @given(records)
    def test_it_comes_back_as_it_was(self, record: Record) -> None:
        assert same(decode_record(encode_record(record)), record)

    def test_custom_state_is_legible_in_the_store(self) -> None:
        record = Record(uid=Uid("u"), state=msgspec.Raw(b'{"job_id":"j-17"}'))

        assert b'"state":{"job_id":"j-17"}' in encode_record(record)

    def test_a_new_record_takes_few_bytes(self) -> None:
        assert encode_record(Record(uid=Uid("u"))) == b'{"uid":"u"}'

    def test_absent_fields_have_their_defaults_and_the_first_version(self) -> None:
        record = decode_record(b'{"uid":"u"}')

        assert (record.v, record.stage, record.attempt, record.state) == (1, Stage.READY, 0, NO_STATE)

    def test_fields_of_a_newer_version_survive_a_rewrite(self) -> None:
        stored = b'{"v":9,"uid":"u","phase":5,"quota":{"pool":[1,2]},"colour":"blue"}'

        again = encode_record(msgspec.structs.replace(decode_record(stored), phase=Phase.SUCCESS, reason="done"))

        known = msgspec.json.decode(again)
        assert known["quota"] == {"pool": [1, 2]}
        assert known["colour"] == "blue"
        assert (known["v"], known["phase"], known["reason"]) == (9, 6, "done")

    def test_a_second_rewrite_keeps_them_too(self) -> None:
        record = decode_record(b'{"v":9,"uid":"u","quota":{"pool":1}}')
        for _ in range(3):
            record = decode_record(encode_record(record))

        assert bytes(record.extra["quota"]) == b'{"pool":1}'

    def test_what_an_unknown_field_holds_does_not_hang_on_the_buffer_it_was_read_from(self) -> None:
        data = bytearray(b'{"v":9,"uid":"u","quota":12345}')
        record = decode_record(bytes(data))
        data[:] = b"x" * len(data)

        assert bytes(record.extra["quota"]) == b"12345"

    def test_over_the_limit_it_is_refused_with_its_size(self) -> None:
        record = Record(uid=Uid("u"), reason="x" * MAX_RECORD_BYTES)

        with pytest.raises(TooLargeError, match=rf"the record of u takes \d+ bytes; the limit is {MAX_RECORD_BYTES}"):
            encode_record(record)

    def test_at_the_limit_it_is_written(self) -> None:
        spare = MAX_RECORD_BYTES - len(encode_record(Record(uid=Uid("u"), reason="x")))

        assert len(encode_record(Record(uid=Uid("u"), reason="x" * (spare + 1)))) == MAX_RECORD_BYTES

    @pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"uid":1}', b'{"phase":"x","uid":"u"}', b"\xff\xfe", b"{}"])
    def test_bad_bytes_are_a_record_error(self, data: bytes) -> None:
        with pytest.raises(RecordError):
            decode_record(data)

    @given(st.binary(max_size=50))
    def test_no_bytes_at_all_raise_anything_else(self, data: bytes) -> None:
        with pytest.raises(RecordError):
            decode_record(data + b"\x00")


class TestOptions:
    def test_they_come_back_as_they_were(self) -> None:
        options = Options(
            uid=Uid("u"),
            digest="d",
            accepted_at=1.5,
            template="t",
            task_type="job",
            outputs=b"\x00\xff",
            overrides={"resources": {"cpu": "2"}},
            cache=CacheOptions(version="1", ignore_inputs=("x",)),
            item=0,
        )

        assert decode_options(encode(options)) == options

    def test_what_they_do_not_know_is_passed_over(self) -> None:
        data = b'{"v":7,"uid":"u","digest":"d","accepted_at":1,"template":"t","task_type":"j","new":1}'

        assert decode_options(data).v == 7

    @pytest.mark.parametrize("data", [b"{}", b"\xff", b'{"uid":"u"}'])
    def test_bad_bytes_are_a_record_error(self, data: bytes) -> None:
        with pytest.raises(RecordError, match="not options"):
            decode_options(data)


class TestOthers:
    def test_ledger_entries_requests_and_events_come_back(self) -> None:
        entry = LedgerEntry(
            execution="d/a", uid=Uid("u"), executor="e", attempt=1, state=LedgerState.UNKNOWN, since=1.0
        )
        event = PhaseEvent(
            id="i",
            execution="d/a",
            uid=Uid("u"),
            task_type="j",
            attempt=0,
            version=3,
            phase=Phase.RUNNING,
            occurred_at=1.0,
            reported_at=2.0,
            key=AttemptKey("a"),
        )

        for one in (entry, Request(what="kill", force=True), event):
            assert decode(encode(one), type(one)) == one

    def test_bad_bytes_name_what_they_should_have_been(self) -> None:
        with pytest.raises(RecordError, match="not a Request"):
            decode(b"{}", Request)

    def test_errors_say_who_has_to_answer_for_them(self) -> None:
        assert system_error("C", "m").kind is ErrorKind.SYSTEM
        assert user_error("C", "m").kind is ErrorKind.USER

    def test_this_version_writes_the_second_form(self) -> None:
        assert SCHEMA_VERSION == 2


class TestForms:
    def test_a_record_is_never_written_in_an_older_form_than_it_was_read_in(self) -> None:
        record = Record(uid=Uid("u"), v=3)

        assert [form_of(record, written) for written in (1, 2, 4)] == [3, 3, 4]

    def test_what_all_members_write_decides_for_a_record_that_needs_no_more(self) -> None:
        assert [form_of(Record(uid=Uid("u")), written) for written in (1, 2)] == [1, 2]

    def test_doubts_are_written_in_a_form_that_engines_of_the_first_one_keep(self) -> None:
        record = Record(uid=Uid("u"), doubts=(Doubt(attempt=0, since=1.0),))

        assert form_of(record, 1) == 2

    def test_units_of_a_quota_and_a_wait_for_them_are_written_in_such_a_form_too(self) -> None:
        taken, waits = Record(uid=Uid("u"), tokens=("few/0",)), Record(uid=Uid("u"), waits=Place(pool="few"))

        assert [form_of(record, 1) for record in (taken, waits)] == [2, 2]


def same(one: Record, other: Record) -> bool:
    plain = [msgspec.structs.replace(record, state=NO_STATE) for record in (one, other)]
    return plain[0] == plain[1] and bytes(one.state) == bytes(other.state)
