from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.engine.data.make import EXECUTION, integer, key, literal_map, locations, mapped, text

from airscrew.engine.data.access import AttemptData
from airscrew.engine.data.data_uri import encode_data_uri
from airscrew.engine.data.secrets import open_secrets
from airscrew.engine.data.storage import Storage
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor.context import DataAccess
from airscrew.idl.literals import encode_literal_map
from airscrew.idl.template import TaskTemplate
from airscrew.idl.wire import WireForm

INPUTS = {"x": integer(7), "y": text("a b"), "m": mapped(a=integer(1))}
TEMPLATE = TaskTemplate(wire=WireForm.FLYTE1, raw=b"\x12\x04echo")


class Loads:
    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> TaskTemplate:
        self.count += 1
        return TEMPLATE


def attempt(
    storage: Storage,
    folder: Path,
    *,
    wire: WireForm = WireForm.FLYTE1,
    overrides: Mapping[str, object] | None = None,
    input_uri: str | None = None,
) -> AttemptData:
    return AttemptData(
        storage=storage,
        secrets=open_secrets(["env"], environ={"_FSEC_DB_KEY": "value"}),
        locations=locations(folder.as_uri(), 0, wire),
        execution=EXECUTION,
        key=key(),
        wire=wire,
        input_uri=encode_data_uri(encode_literal_map(INPUTS, wire)) if input_uri is None else input_uri,
        template=Loads(),
        overrides=overrides or {},
    )


def test_it_is_what_a_context_reaches() -> None:
    accepted: type[DataAccess] = AttemptData

    assert accepted is AttemptData


@pytest.mark.parametrize("wire", list(WireForm))
async def test_inputs_are_read_in_the_wire_form_of_the_task(storage: Storage, tmp_path: Path, wire: WireForm) -> None:
    inputs = await attempt(storage, tmp_path, wire=wire).read_inputs()

    assert inputs == literal_map(**INPUTS)


async def test_one_readers_change_is_not_anothers(storage: Storage, tmp_path: Path) -> None:
    data = attempt(storage, tmp_path)

    (await data.read_inputs()).literals["x"].scalar.primitive.integer = 99

    assert (await data.read_inputs()).literals["x"] == integer(7)


async def test_inputs_are_fetched_once(storage: Storage, tmp_path: Path) -> None:
    path = tmp_path / "in.pb"
    path.write_bytes(encode_literal_map(INPUTS, WireForm.FLYTE1))
    data = attempt(storage, tmp_path, input_uri=str(path))
    first = await data.read_inputs()

    path.unlink()

    assert await data.read_inputs() == first


@pytest.mark.parametrize("wire", list(WireForm))
async def test_inputs_are_placed_with_the_bytes_that_were_submitted(
    storage: Storage, tmp_path: Path, wire: WireForm
) -> None:
    data = attempt(storage, tmp_path, wire=wire)

    await data.place_inputs()
    await data.place_inputs()

    assert await storage.read(data.locations.input_uri) == encode_literal_map(INPUTS, wire)


async def test_inputs_that_lie_there_already_stay_as_they_are(storage: Storage, tmp_path: Path) -> None:
    uri = locations(tmp_path.as_uri()).input_uri
    await storage.write(uri, b"already")

    await attempt(storage, tmp_path, input_uri=uri).place_inputs()

    assert await storage.read(uri) == b"already"


async def test_a_task_without_inputs_has_an_empty_file(storage: Storage, tmp_path: Path) -> None:
    data = attempt(storage, tmp_path, input_uri="")

    await data.place_inputs()

    assert await storage.read(data.locations.input_uri) == b""
    assert await data.read_inputs() == literal_map()


@pytest.mark.parametrize(("uri", "code"), [("/no/such/file", "InputsNotFound"), ("data:,%FF%FF", "InputsInvalid")])
async def test_inputs_that_are_gone_or_broken_are_permanent(
    storage: Storage, tmp_path: Path, uri: str, code: str
) -> None:
    with pytest.raises(PermanentError) as caught:
        await attempt(storage, tmp_path, input_uri=uri).read_inputs()

    assert caught.value.code == code


async def test_variables_and_inputs_are_rendered(storage: Storage, tmp_path: Path) -> None:
    data = attempt(storage, tmp_path)

    texts = ["--x={{.inputs.x}}", "{{.outputPrefix}}", "{{.inputs.y}}", "plain"]
    rendered = await data.render(texts)

    assert rendered == ["--x=7", f"{tmp_path}/team/hello-01234567/0", "a b", "plain"]
    assert texts[0] == "--x={{.inputs.x}}"


async def test_the_template_is_written_when_a_text_refers_to_it_and_not_before(
    storage: Storage, tmp_path: Path
) -> None:
    data = attempt(storage, tmp_path)
    await data.render(["{{.input}} {{.inputs.x}}"])
    before = await storage.exists(data.locations.template_uri)

    rendered = await data.render(["{{.taskTemplatePath}}"])
    await data.render(["{{.taskTemplatePath}}"])

    assert not before
    assert await storage.read(rendered[0]) == TEMPLATE.raw
    assert isinstance(data.template, Loads)
    assert data.template.count == 1


async def test_inputs_without_a_textual_form_may_be_there_as_long_as_nobody_refers_to_them(
    storage: Storage, tmp_path: Path
) -> None:
    data = attempt(storage, tmp_path)

    assert await data.render(["{{.inputs.x}}"]) == ["7"]
    with pytest.raises(PermanentError, match="input 'm' is a map"):
        await data.render(["{{.inputs.m}}"])


async def test_a_flyte_2_task_is_told_its_run(storage: Storage, tmp_path: Path) -> None:
    data = replace(attempt(storage, tmp_path, wire=WireForm.FLYTE2), accepted_at=1_700_000_000.0)

    rendered = await data.render(["{{.runName}} {{.actionName}} {{.runStartTime}}"])

    assert rendered == ["hello-01234567 a0 2023-11-14T22:13:20+00:00"]


async def test_overrides_fill_in_a_fast_registration(storage: Storage, tmp_path: Path) -> None:
    data = attempt(storage, tmp_path, overrides={"remote_package_path": "s3://b/f.tar.gz", "dest_dir": "."})

    rendered = await data.render(["{{ .remote_package_path }}", "{{ .dest_dir }}"])

    assert rendered == ["s3://b/f.tar.gz", "."]


async def test_secrets_are_read_by_group_and_key(storage: Storage, tmp_path: Path) -> None:
    data = attempt(storage, tmp_path)

    assert await data.read_secret("db", "key") == "value"
    with pytest.raises(PermanentError, match="'db/other'"):
        await data.read_secret("db", "other")


async def test_files_are_read_and_written_whole(storage: Storage, tmp_path: Path) -> None:
    data = attempt(storage, tmp_path)

    await data.write_bytes(f"{data.locations.raw_output_prefix}/log", b"bytes")

    assert await data.read_bytes(f"{data.locations.raw_output_prefix}/log") == b"bytes"
    with pytest.raises(FileNotFoundError):
        await data.read_bytes(f"{data.locations.raw_output_prefix}/none")
