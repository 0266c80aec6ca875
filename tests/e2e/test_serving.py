"""An engine that serves, as those see it who watch over it: probes, metrics, and what it does about a bad store."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.tasks import echo
from tests.e2e.user import Running, User, until, with_store
from tests.support.etcd import Etcd
from tests.support.guarded_etcd import Guarded, add_users, start_guarded
from tests.support.pki import Authority

from airscrew.engine.metrics.names import METRICS


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    with ExitStack() as stack:
        yield start_guarded(stack, tmp_path / "guarded")


class Probes:
    """Asks an engine how it is."""

    def __init__(self, engine: Running) -> None:
        self.port = int(engine.says(r"health on http://127\.0\.0\.1:(\d+)")[1])

    def get(self, path: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode()
        connection.close()
        return found

    def becomes(self, path: str, status: int, words: str = "") -> str:
        """Wait until an answer is so."""

        def look() -> str:
            code, text = self.get(path)
            return text if code == status and words in text else ""

        return until(look, f"{status} {words!r} of {path}")

    def metrics(self) -> dict[str, float]:
        """Read every series without labels, and the sum over labels of those with."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
        return found


def watch(user: User, *arguments: str) -> tuple[Running, Probes]:
    engine = user.start("serve", "--process", "--health", "127.0.0.1:0", *arguments)
    return engine, Probes(engine)


def test_an_engine_tells_how_it_is_and_what_it_did(user: User, tmp_path: Path) -> None:
    engine, probes = watch(user)
    engine.says("serving on unix:")

    user.run("run", echo(tmp_path / "echo.json", {"x": "INTEGER"}), "--input", "x=3")

    assert probes.get("/readyz") == (200, "ready\n")
    assert probes.get("/livez")[0] == probes.get("/startupz")[0] == 200
    told = probes.metrics()
    assert told["airscrew_executions_ended_total"] == told["airscrew_ready"] == told["airscrew_leader"] == 1
    assert told["airscrew_turn_seconds_count"] >= 1
    assert told["airscrew_call_seconds_count"] >= 1
    assert told["airscrew_store_seconds_count"] > 3
    assert told["airscrew_time_seconds_total"] > 0
    known = {series for metric in METRICS for series in metric.series}
    assert {name for name in told if not name.startswith("process_")} <= known
    assert "default/" not in probes.get("/metrics")[1]


def test_a_password_that_is_wrong_is_said_once_and_tried_again(user: User, guarded: Guarded, tmp_path: Path) -> None:
    asyncio.run(add_users(guarded, "me", "right"))
    password = tmp_path / "password"
    password.write_text("wrong\n")
    with_store(user, guarded.etcd.new_url(f"{guarded.query}&user=me&password-file={password}"))
    engine, probes = watch(user)

    told = probes.becomes("/readyz", 503, "does not let us in")

    assert len(told.splitlines()) == 1
    assert probes.get("/livez")[0] == 200
    assert probes.get("/startupz")[0] == 503
    assert probes.metrics()["airscrew_store_up"] == 0
    password.write_text("right\n")
    assert probes.becomes("/readyz", 200) == "ready\n"
    assert engine.err.count("does not let us in") == 1
    assert "airscrew: waiting: the store etcds://" in engine.err


def test_a_certificate_that_is_no_good_is_said_and_looked_at_again(
    user: User, guarded: Guarded, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    with_store(user, guarded.etcd.new_url(guarded.query.replace(str(guarded.certificates.ca), str(ca))))
    engine, probes = watch(user)

    probes.becomes("/readyz", 503, f"{ca}, named in the etcd address, cannot be read")
    ca.write_bytes(Authority(tmp_path / "stranger").cert.read_bytes())
    probes.becomes("/readyz", 503, "certificate signature failure")
    ca.write_bytes(guarded.certificates.ca.read_bytes())
    probes.becomes("/readyz", 200)
    engine.says("serving on")
    assert [line.split(":")[1].strip() for line in engine.err.splitlines()] == [
        "health on http", "waiting", "waiting", "serving on unix"
    ]  # fmt: skip


def test_an_engine_that_waits_for_its_store_stops_when_it_is_told(user: User) -> None:
    with_store(user, "etcd://127.0.0.1:1/nobody")
    engine, probes = watch(user)
    probes.becomes("/readyz", 503, "does not answer")

    engine.signal(signal.SIGTERM)

    assert engine.wait().code == 0


def test_an_engine_whose_store_goes_away_is_not_ready_until_it_is_back(user: User, own_etcd: Etcd) -> None:
    with_store(user, own_etcd.new_url())
    _, probes = watch(user)
    probes.becomes("/readyz", 200)
    before = probes.metrics()

    own_etcd.servers[0].kill()
    probes.becomes("/readyz", 503)
    assert probes.get("/livez")[0] == probes.get("/startupz")[0] == 200
    away = probes.metrics()
    own_etcd.servers[0].start()
    probes.becomes("/readyz", 200)
    assert (before["airscrew_members"], before["airscrew_shards_held"], before["airscrew_store_up"]) == (1, 256, 1)
    assert away["airscrew_store_up"] == away["airscrew_ready"] == 0
    assert away["airscrew_store_errors_total"] > 0


def test_what_no_waiting_can_mend_ends_it(user: User) -> None:
    with_store(user, "etcd://")

    assert user.run("serve", "--health", "127.0.0.1:0", code=2).error


def test_a_health_address_that_is_none_is_said(user: User) -> None:
    assert "use HOST:PORT" in user.run("serve", "--health", "10254", code=2).error


def test_an_engine_is_reached_by_mutual_tls_from_its_settings(user: User, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    server = authority.sign("server", "server", hosts=["127.0.0.1"])
    mine = authority.sign("mine", "mine")
    config = tmp_path / "tls.yaml"
    config.write_text(
        f"listen: 0.0.0.0:0\napi: {{certificate: {server.cert}, key: {server.key}, client_ca: {authority.cert}}}\n"
    )
    engine = user.start("--config", str(config), "serve", "--health", "127.0.0.1:0")
    port = engine.says(r"tls://0\.0\.0\.0:(\d+)")[1]
    known = ("--server", f"tls://127.0.0.1:{port}", "--ca", str(authority.cert))
    shown = ("--cert", str(mine.cert), "--key", str(mine.key))

    assert user.run(*known, *shown, "list", "-o", "json").data == []
    assert user.run("list", *known, *shown, "-o", "json").data == []
    assert "want a certificate that it trusts" in user.run(*known, "list", code=3).error
    ends = Probes(engine).metrics()["airscrew_certificate_expiry_timestamp_seconds"]
    assert 86_400 < ends - time.time() < 3 * 86_400


def test_a_certificate_that_has_expired_is_named_before_anything_begins(user: User, tmp_path: Path) -> None:
    old = Authority(tmp_path / "pki").sign("old", "old", hosts=["127.0.0.1"], days=(-9, -1))
    user.variables |= {"AIRSCREW_API_CERTIFICATE": str(old.cert), "AIRSCREW_API_KEY": str(old.key)}

    error = user.run("serve", "--listen", "127.0.0.1:0", code=2).error

    assert error.startswith(f"certificate {old.cert} has expired on ")
    assert not user.home.exists()


def test_each_line_of_the_log_is_an_object_where_that_is_asked_for(user: User, tmp_path: Path) -> None:
    user.variables |= {"AIRSCREW_LOG_FORMAT": "json", "AIRSCREW_LOG_LEVEL": "info"}
    engine = user.start("serve")
    engine.says('"message": "serving"')

    user.run("run", echo(tmp_path / "echo.json", {"x": "INTEGER"}), "--input", "x=3", "--name", "one")
    engine.says('"phase": "Success"')
    engine.signal(signal.SIGTERM)
    told = [json.loads(line) for line in engine.wait().err.splitlines()]

    phases = [one for one in told if one["message"] == "phase"]
    assert phases[-1].items() >= {"execution": "default/one", "phase": "Success", "level": "info"}.items()
    assert told[-1]["message"] == "draining"
