"""What an engine keeps in etcd, read by clients that know nothing of airscrew: etcdctl, and the client etcd3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.tasks import Gate
from tests.e2e.user import User, with_store
from tests.support.etcd import Etcd, find_etcdctl

Witness = Callable[[str, str], Mapping[str, str]]

ETCD3 = """
import json, sys
import etcd3

host, _, port = sys.argv[1].partition(":")
client = etcd3.client(host=host, port=int(port), timeout=10)
print(json.dumps({found.key.decode(): value.decode() for value, found in client.get_prefix(sys.argv[2])}))
"""


def by_etcd3(endpoint: str, prefix: str) -> Mapping[str, str]:
    """Read with etcd3, in a process of its own: its generated code wants protobuf's pure-Python implementation."""
    variables = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    printed = output([sys.executable, "-W", "ignore", "-c", ETCD3, endpoint, prefix], variables)
    found: dict[str, str] = json.loads(printed)
    return found


def by_etcdctl(endpoint: str, prefix: str) -> Mapping[str, str]:
    """Read with etcd's own command, as an operator does."""
    command = [str(find_etcdctl()), "--endpoints", endpoint, "get", "--prefix", prefix]
    lines = output(command, {"PATH": os.defpath}).splitlines()
    return dict(zip(lines[::2], lines[1::2], strict=True))


def output(command: list[str], variables: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("witness", [by_etcd3, by_etcdctl])
def test_a_witness_reads_the_keys_and_the_custom_state_as_plain_json(
    user: User, tmp_path: Path, etcd: Etcd, witness: Witness
) -> None:
    url = etcd.new_url()
    prefix = "/" + url.removeprefix("etcd://").partition("/")[2]
    with_store(user, url)
    gate = Gate(tmp_path)
    engine = user.start("run", gate.template(), "--name", "gate")
    gate.has_begun()
    engine.says("default/gate: Running")

    endpoint = etcd.servers[0].endpoint
    record, spec, entry = (the_one(witness(endpoint, f"{prefix}/{kind}/")) for kind in ("record", "spec", "ledger"))
    told = user.get("gate")
    gate.open()

    assert record["uid"] == spec["uid"] == told["uid"]
    assert record["state"] == told["custom_state"] != {}
    assert entry["execution"] == "default/gate"
    assert engine.wait().code == 0


def the_one(seen: Mapping[str, str]) -> dict[str, Any]:
    """Decode the only value that was seen."""
    (value,) = seen.values()
    decoded: dict[str, Any] = json.loads(value)
    return decoded
