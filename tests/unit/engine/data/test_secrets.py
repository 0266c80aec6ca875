from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airscrew.engine.data.secrets import (
    MASK,
    EnvironmentSecrets,
    FileSecrets,
    Redactor,
    SecretNotFoundError,
    SecretProvider,
    Secrets,
    open_secrets,
)
from airscrew.engine.errors import PermanentError
from airscrew.idl.errors import UsageError

VALUE = "s3cr3t-Value"


@pytest.mark.parametrize(
    ("name", "group", "key"),
    [
        ("_FSEC_DB_PASSWORD", "db", "password"),
        ("_FSEC_DB_PASSWORD", "Db", "PassWord"),
        ("_FSEC_PASSWORD", "", "password"),
        ("AIRSCREW_SECRET_DB_PASSWORD", "db", "password"),
        ("_FSEC_MY-DB_API.KEY", "my-db", "api.key"),
        ("_FSEC_MY_DB_API_KEY", "my-db", "api.key"),
    ],
)
def test_a_secret_is_found_in_the_environment(name: str, group: str, key: str) -> None:
    secrets = open_secrets(["env"], environ={name: f"{VALUE}\n"})

    assert secrets.read(group, key) == VALUE


@pytest.mark.parametrize(
    ("file", "group", "key"), [("db/Key", "db", "Key"), ("db/key", "DB", "Key"), ("key", "", "key")]
)
def test_a_secret_is_found_in_a_file(tmp_path: Path, file: str, group: str, key: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{VALUE}\n")

    assert open_secrets(["file"], directory=str(tmp_path)).read(group, key) == VALUE


def test_providers_are_asked_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file")
    environ = {"_FSEC_KEY": "from the environment"}

    def read(*providers: str) -> str:
        return open_secrets(providers, environ=environ, directory=str(tmp_path)).read("", "key")

    assert read("env", "file") == "from the environment"
    assert read("file", "env") == "from the file"


def test_a_secret_that_is_rotated_is_read_anew(tmp_path: Path) -> None:
    secrets = Secrets([FileSecrets(tmp_path)])
    (tmp_path / "key").write_text("before")
    before = secrets.read("", "key")

    (tmp_path / "key").write_text("after")

    assert (before, secrets.read("", "key")) == ("before", "after")


def test_a_secret_that_nobody_has_is_named_with_where_it_was_looked_for(tmp_path: Path) -> None:
    secrets = open_secrets(["env", "file"], environ={"_FSEC_OTHER": VALUE}, directory=str(tmp_path))

    with pytest.raises(SecretNotFoundError) as caught:
        secrets.read("db", "key")

    message = str(caught.value)
    assert "'db/key'" in message
    assert all(place in message for place in ("$_FSEC_DB_KEY", "$AIRSCREW_SECRET_DB_KEY", f"{tmp_path}/db/key"))
    assert (caught.value.code, VALUE in message) == ("SecretNotFound", False)
    assert not secrets.has("db", "key")


@pytest.mark.parametrize("name", ["../etc", "a/b", "..", ".hidden", "a\0b", "a b", ""])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    secrets = Secrets([FileSecrets(tmp_path / "inner")])
    (tmp_path / "etc").write_text(VALUE)

    with pytest.raises(PermanentError, match="is not valid") as caught:
        secrets.read("group", name)

    assert caught.value.code == "BadTaskSpecification"


class Forbidden(SecretProvider):
    def find(self, group: str, key: str) -> str | None:
        raise PermissionError(13, "Permission denied", VALUE)

    def places(self, group: str, key: str) -> list[str]:
        return []


def test_a_secret_that_may_not_be_read_says_so() -> None:
    with pytest.raises(PermanentError, match=r"'group/key' cannot be read: Permission denied$"):
        Secrets([Forbidden()]).read("group", "key")


def test_bytes_that_are_no_text_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff" + VALUE.encode())

    with pytest.raises(PermanentError, match="it is no text") as caught:
        Secrets([FileSecrets(tmp_path)]).read("", "key")

    assert VALUE not in f"{caught.value}{caught.value.__cause__}"


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'vault'.*secrets\.providers"):
        open_secrets(["vault"])


def test_no_representation_shows_a_value() -> None:
    provider = EnvironmentSecrets({"_FSEC_KEY": VALUE})
    secrets = Secrets([provider])
    secrets.read("", "key")

    assert VALUE not in f"{provider!r}{secrets!r}{secrets.redactor!r}"


def test_a_value_that_was_read_is_masked_in_texts() -> None:
    secrets = open_secrets(["env"], environ={"_FSEC_KEY": VALUE})
    before = secrets.redactor.redact(f"key={VALUE}")

    secrets.read("", "key")

    assert before == f"key={VALUE}"
    assert secrets.redactor.redact(f"key={VALUE}, again {VALUE}.") == f"key={MASK}, again {MASK}."


@given(st.text(min_size=4, max_size=30), st.text(max_size=30))
def test_no_form_of_a_value_passes(value: str, around: str) -> None:
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        return
    redactor = Redactor([value])

    for form in (value, json.dumps(value)[1:-1], quote(value, safe=""), b64encode(encoded).decode()):
        text = redactor.redact(around + form)

        assert not text.endswith(form) or form in MASK


def test_the_lines_of_a_long_value_are_masked_one_by_one() -> None:
    redactor = Redactor(["-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----"])

    assert "MIIEvQIBADAN" not in redactor.redact("line 2: MIIEvQIBADAN")


def test_a_value_within_another_leaves_nothing_of_the_longer_one() -> None:
    redactor = Redactor(["password", "password-and-more"])

    assert redactor.redact("password-and-more") == MASK


def test_what_is_too_short_to_tell_is_left() -> None:
    assert Redactor(["a", ""]).redact("a banana") == "a banana"
