"""The data loader over real files: what it brings, what it takes, and how it tells of its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from flyteidl.core.literals_pb2 import Literal, LiteralCollection, LiteralMap
from flyteidl.core.types_pb2 import BlobType, LiteralType

from airscrew.engine.data.storage import Storage
from airscrew.idl.literals import decode_literal_map, encode_literal_map, from_json, literal_type_of, to_json
from airscrew.idl.literals.scalars import blob
from airscrew.idl.wire import WireForm
from airscrew.plugins.kubernetes.loader.__main__ import main
from airscrew.plugins.kubernetes.loader.job import VARIABLE, Code, LoaderJob, encode_types
from airscrew.plugins.kubernetes.loader.work import TaskFailedError, download, upload
from airscrew.plugins.raw_files import OutputError

FILE = LiteralType(blob=BlobType())
FOLDER = LiteralType(blob=BlobType(dimensionality=BlobType.BlobDimensionality.MULTIPART))


def integer(value: int) -> Literal:
    return from_json(value, literal_type_of(int), "x")


def text(value: str) -> Literal:
    return from_json(value, literal_type_of(str), "x")


class Places:
    """A storage and a Pod's folders, all on this machine, the storage by ``file:`` URIs."""

    def __init__(self, root: Path) -> None:
        self.storage, self.inputs, self.outputs = root / "storage", root / "in", root / "out"
        self.outputs.mkdir()
        self.storage.mkdir()

    def put(self, name: str, data: bytes) -> str:
        path = self.storage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path.as_uri()

    def job(
        self, types: dict[str, Any] | None = None, inputs: dict[str, Literal] | None = None, **more: Any
    ) -> LoaderJob:
        wire = WireForm(more.get("wire", "flyte1"))
        uri = self.put("inputs.pb", encode_literal_map(inputs, wire)) if inputs is not None else ""
        from airscrew.idl.template import Variable

        outputs = {
            name: Variable(type=kind if isinstance(kind, LiteralType) else literal_type_of(kind))
            for name, kind in (types or {}).items()
        }
        return LoaderJob(
            input_uri=uri,
            input_path=str(self.inputs),
            output_path=str(self.outputs),
            output_prefix=(self.storage / "0").as_uri(),
            raw_output_prefix=(self.storage / "raw").as_uri(),
            outputs=encode_types(outputs),
            **more,
        )

    def written(self, wire: WireForm = WireForm.FLYTE1) -> dict[str, Literal]:
        return decode_literal_map((self.storage / "0" / "outputs.pb").read_bytes(), wire)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


async def brought(job: LoaderJob) -> None:
    async with Storage() as storage:
        await download(job, storage)


async def taken(job: LoaderJob) -> None:
    async with Storage() as storage:
        await upload(job, storage)


INPUTS = {
    "a": integer(3),
    "s": text("hey ünï"),
    "l": Literal(collection=LiteralCollection(literals=[integer(1), integer(2)])),
    "m": Literal(map=LiteralMap(literals={"k": text("v")})),
}


async def test_every_input_is_a_file_lists_and_maps_are_folders(places: Places) -> None:
    await brought(places.job(inputs=INPUTS))

    assert (places.inputs / "a").read_text() == "3"
    assert (places.inputs / "s").read_text() == "hey ünï"
    assert (places.inputs / "l" / "1").read_text() == "2"
    assert (places.inputs / "m" / "k").read_text() == "v"


@pytest.mark.parametrize(
    ("form", "file", "read"), [("JSON", "inputs.json", json.loads), ("YAML", "inputs.yaml", yaml.safe_load)]
)
async def test_all_inputs_are_in_one_file_as_the_template_asks(places: Places, form: str, file: str, read: Any) -> None:
    await brought(places.job(inputs=INPUTS, form=form))

    assert read((places.inputs / file).read_text()) == {"a": 3, "s": "hey ünï", "l": [1, 2], "m": {"k": "v"}}
    assert decode_literal_map((places.inputs / "inputs.pb").read_bytes(), WireForm.FLYTE1) == INPUTS


async def test_who_asks_for_protobuf_gets_nothing_beside_it(places: Places) -> None:
    await brought(places.job(inputs=INPUTS, form="PROTO"))

    assert sorted(path.name for path in places.inputs.iterdir()) == ["a", "inputs.pb", "l", "m", "s"]


async def test_who_wants_no_files_gets_the_summaries_alone(places: Places) -> None:
    await brought(places.job(inputs=INPUTS, downloads_values=False))

    assert sorted(path.name for path in places.inputs.iterdir()) == ["inputs.json", "inputs.pb"]


async def test_inputs_of_a_flyte_2_task_are_read_in_its_own_form(places: Places) -> None:
    await brought(places.job(inputs={"b": integer(1), "a": integer(2)}, wire="flyte2"))

    assert (places.inputs / "b").read_text() == "1"
    assert list(decode_literal_map((places.inputs / "inputs.pb").read_bytes(), WireForm.FLYTE2)) == ["b", "a"]


async def test_files_and_folders_are_copied_whole(places: Places) -> None:
    places.put("data/one.bin", b"\x00\x01")
    places.put("data/deep/er/two.bin", b"two")
    inputs = {
        "f": blob((places.storage / "data/one.bin").as_uri(), FILE.blob),
        "d": blob((places.storage / "data").as_uri(), FOLDER.blob),
    }

    await brought(places.job(inputs=inputs))

    assert (places.inputs / "f").read_bytes() == b"\x00\x01"
    assert (places.inputs / "d" / "one.bin").read_bytes() == b"\x00\x01"
    assert (places.inputs / "d" / "deep" / "er" / "two.bin").read_bytes() == b"two"
    assert not (places.inputs / "f").is_symlink()


async def test_bringing_again_changes_nothing(places: Places) -> None:
    job = places.job(inputs=INPUTS)
    await brought(job)
    before = {path: path.read_bytes() for path in places.inputs.rglob("*") if path.is_file()}

    await brought(job)

    assert {path: path.read_bytes() for path in places.inputs.rglob("*") if path.is_file()} == before


async def test_outputs_are_read_by_their_types(places: Places) -> None:
    (places.outputs / "n").write_text("42\n")
    (places.outputs / "s").write_text(" hey \n")
    (places.outputs / "l").write_text("[1, 2]")

    await taken(places.job({"n": int, "s": str, "l": list[int]}))

    assert {name: to_json(literal) for name, literal in places.written().items()} == {"n": 42, "s": "hey", "l": [1, 2]}


async def test_outputs_that_are_files_go_to_the_raw_prefix(places: Places) -> None:
    (places.outputs / "f").write_bytes(b"\xff")
    (places.outputs / "d" / "deep").mkdir(parents=True)
    (places.outputs / "d" / "deep" / "x").write_text("x")

    await taken(places.job({"f": FILE, "d": FOLDER}))

    written = places.written()
    assert (places.storage / "raw" / "f").read_bytes() == b"\xff"
    assert (places.storage / "raw" / "d" / "deep" / "x").read_text() == "x"
    assert written["f"].scalar.blob.uri == (places.storage / "raw" / "f").as_uri()
    assert written["d"].scalar.blob.metadata.type.dimensionality == BlobType.BlobDimensionality.MULTIPART


async def test_outputs_of_a_flyte_2_task_are_written_in_its_own_form(places: Places) -> None:
    (places.outputs / "n").write_text("42")

    await taken(places.job({"n": int}, wire="flyte2"))

    assert to_json(places.written(WireForm.FLYTE2)["n"]) == 42


async def test_a_task_that_says_that_it_failed_has_no_outputs(places: Places) -> None:
    (places.outputs / "n").write_text("42")
    (places.outputs / "_ERROR").write_text("no such table\n")

    with pytest.raises(TaskFailedError, match="no such table"):
        await taken(places.job({"n": int}))
    assert not (places.storage / "0").exists()


@pytest.mark.parametrize(
    ("content", "told"), [(None, "output 'n' was not written"), ("many", "output n: expected int, got 'many'")]
)
async def test_an_output_that_is_missing_or_of_another_type_is_named(
    places: Places, content: str | None, told: str
) -> None:
    if content is not None:
        (places.outputs / "n").write_text(content)

    with pytest.raises(OutputError, match=told):
        await taken(places.job({"n": int}))
    assert not (places.storage / "0").exists()


def run(places: Places, verb: str, job: LoaderJob | None, tmp_path: Path) -> tuple[int, str]:
    message = tmp_path / "message"
    code = main([verb], {VARIABLE: job.encode()} if job else {}, str(message), str(tmp_path / "ready"))
    return code, message.read_text() if message.exists() else ""


def test_the_exit_code_and_the_message_tell_how_it_went(places: Places, tmp_path: Path) -> None:
    assert run(places, "download", places.job(inputs=INPUTS), tmp_path) == (Code.DONE, "")
    assert run(places, "lift", places.job(inputs=INPUTS), tmp_path)[0] == Code.BAD_JOB
    assert run(places, "download", None, tmp_path)[0] == Code.BAD_JOB


def test_inputs_that_are_gone_are_the_users(places: Places, tmp_path: Path) -> None:
    job = places.job(inputs=INPUTS)
    (places.storage / "inputs.pb").unlink()

    code, message = run(places, "download", job, tmp_path)

    assert code == Code.BAD_INPUTS
    assert "inputs.pb" in message


def test_inputs_that_are_none_are_the_users(places: Places, tmp_path: Path) -> None:
    job = places.job(inputs=INPUTS)
    (places.storage / "inputs.pb").write_bytes(b"\xff\xff\xff")

    assert run(places, "download", job, tmp_path)[0] == Code.BAD_INPUTS


def test_a_name_that_leads_out_of_the_folder_is_refused(places: Places, tmp_path: Path) -> None:
    code, message = run(places, "download", places.job(inputs={"../../etc": integer(1)}), tmp_path)

    assert code == Code.BAD_INPUTS
    assert "cannot be a file's name" in message


def test_a_file_over_the_bound_is_told(places: Places, tmp_path: Path) -> None:
    uri = places.put("big", b"x" * 2000)
    inputs = {"f": blob(uri, FILE.blob)}

    code, message = run(places, "download", places.job(inputs=inputs, max_file_bytes=1000), tmp_path)

    assert code == Code.BAD_INPUTS
    assert "2,000 bytes" in message


def test_a_folder_that_cannot_be_written_is_the_systems(places: Places, tmp_path: Path) -> None:
    places.inputs.write_text("a file where a folder belongs")

    assert run(places, "download", places.job(inputs=INPUTS), tmp_path)[0] == Code.STORAGE
