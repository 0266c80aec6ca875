from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airscrew.idl.errors import UsageError
from airscrew.idl.ids import SHARDS, AttemptKey, ExecutionId, Uid, attempt_key, checked_name

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
UID = Uid("0123456789abcdef0123456789abcdef")

names = st.from_regex(r"[a-z0-9]([-a-z0-9._]{0,98}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize("name", ["a", "0", "my-run.v1_2", "x" * 100])
def test_a_valid_name_is_given_back(name):
    assert checked_name(name, "name") == name


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a/b", "a b", "a\n", "..", "é", "x" * 101])
def test_a_name_that_is_not_valid_is_refused_with_the_rule(name):
    with pytest.raises(UsageError, match=r"^name .* is not valid: use 1 to 100 of a-z"):
        checked_name(name, "name")


@given(names, names)
def test_an_id_is_read_back_from_its_text(namespace, name):
    identity = ExecutionId(namespace, name)

    assert ExecutionId.parse(str(identity)) == identity


def test_a_name_without_a_namespace_is_in_the_default_one():
    assert ExecutionId.parse("run", "team-a") == ExecutionId("team-a", "run")


@pytest.mark.parametrize("text", ["", "/", "a/", "/a", "a/b/c", "A/b"])
def test_text_that_is_no_id_is_refused(text):
    with pytest.raises(UsageError, match="is not valid"):
        ExecutionId.parse(text)


@given(names, names)
def test_an_execution_hashes_to_one_of_the_shards(namespace, name):
    assert 0 <= ExecutionId(namespace, name).shard < SHARDS


def test_executions_spread_over_all_shards():
    shards = {ExecutionId("default", f"run-{number}").shard for number in range(4000)}

    assert len(shards) == SHARDS


def test_the_shard_of_an_execution_never_changes():
    assert ExecutionId("default", "run-1").shard == 236


def test_the_key_of_an_attempt_never_changes():
    assert attempt_key("installation", UID, 0) == "aapt7pv3coragr3vde2lnhcipfi"


@given(st.text(max_size=40), st.integers(0, 2**31), st.none() | st.integers(0, 2**31))
def test_a_key_is_a_dns_label_of_27_characters(installation, attempt, item):
    key = attempt_key(installation, UID, attempt, item)

    assert re.fullmatch(r"a[a-z2-7]{26}", key)
    assert DNS_LABEL.fullmatch(key)


def test_each_part_of_the_identity_changes_the_key():
    keys: list[AttemptKey] = [
        attempt_key("installation", UID, 0),
        attempt_key("other", UID, 0),
        attempt_key("installation", Uid("f" * 32), 0),
        attempt_key("installation", UID, 1),
        attempt_key("installation", UID, 0, 0),
        attempt_key("installation", UID, 0, 1),
        attempt_key("installation", UID, 1, 0),
    ]

    assert len(set(keys)) == len(keys)
