"""The uploader as a process of its own, as it is in its container."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airscrew.idl.literals import decode_literal_map, literal_type_of, to_json
from airscrew.idl.template import Variable
from airscrew.idl.wire import WireForm
from airscrew.plugins.kubernetes.loader.job import MODULE, VARIABLE, Code, LoaderJob, encode_types

PATIENCE = 30.0


class Uploader:
    """A job over folders of this machine, and its process."""

    def __init__(self, root: Path) -> None:
        self.outputs, self.storage = root / "out", root / "storage"
        self.ready, self.message = root / "ready", root / "message"
        self.outputs.mkdir()
        job = LoaderJob(
            input_path=str(root / "in"),
            output_path=str(self.outputs),
            output_prefix=self.storage.as_uri(),
            raw_output_prefix=(root / "raw").as_uri(),
            outputs=encode_types({"n": Variable(type=literal_type_of(int))}),
        )
        paths = f"{str(self.message)!r}, {str(self.ready)!r}"
        script = f"import os, sys; from {MODULE}.__main__ import main; sys.exit(main(['upload'], os.environ, {paths}))"
        self.process = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, VARIABLE: job.encode()})

    def wait_until_ready(self) -> None:
        end = time.monotonic() + PATIENCE
        while not self.ready.exists():
            assert time.monotonic() < end
            assert self.process.poll() is None
            time.sleep(0.01)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def uploader(tmp_path: Path):
    opened = Uploader(tmp_path)
    yield opened
    opened.close()


def test_the_uploader_waits_for_the_end_of_the_task_and_uploads_then(uploader: Uploader) -> None:
    uploader.wait_until_ready()
    (uploader.outputs / "n").write_text("7")
    assert not uploader.storage.exists()

    uploader.process.send_signal(signal.SIGTERM)

    assert uploader.process.wait(PATIENCE) == Code.DONE
    outputs = decode_literal_map((uploader.storage / "outputs.pb").read_bytes(), WireForm.FLYTE1)
    assert to_json(outputs["n"]) == 7


def test_the_uploader_tells_by_its_code_and_its_message_what_is_missing(uploader: Uploader) -> None:
    uploader.wait_until_ready()

    uploader.process.send_signal(signal.SIGTERM)

    assert uploader.process.wait(PATIENCE) == Code.BAD_OUTPUTS
    assert "output 'n' was not written" in uploader.message.read_text()
    assert not uploader.storage.exists()
