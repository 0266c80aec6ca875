"""
``trino`` over the network, against a service that takes Trino's own client as well.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import trino.dbapi
import trino.exceptions
import yaml
from tests.integration.test_clouds import command_line
from tests.support.clouds import TRINO
from tests.support.programs import die_with_us
from tests.support.trino_service import PASSWORD, USER, FakeTrino

from airscrew.engine.clock import LoopClock


async def test_the_service_of_these_tests_is_one_for_trino_s_own_client() -> None:
    def use(port: int) -> tuple[list[Any], str, str]:
        connection = trino.dbapi.connect(
            host="127.0.0.1", port=port, user=USER, source="theirs", catalog="c", schema="s", client_tags=["t"]
        )
        rows = connection.cursor().execute("SELECT 1 -- rows=2").fetchall()
        with pytest.raises(trino.exceptions.TrinoUserError) as refused:
            connection.cursor().execute("SELEC 1 -- fail=USER_ERROR").fetchall()
        with pytest.raises(trino.exceptions.TrinoExternalError):
            connection.cursor().execute("SELECT 2 -- fail=EXTERNAL").fetchall()
        cursor = connection.cursor()
        cursor.execute("SELECT 3 -- rows=9")
        cursor.cancel()
        return rows, refused.value.error_name, cursor.query_id or ""

    fake = FakeTrino(clock=LoopClock(), queue_seconds=0.0)
    async with fake.serve() as url:
        rows, name, cancelled = await asyncio.to_thread(use, int(url.rpartition(":")[2]))

    assert rows == [[1], [2], [1], [2]]
    assert name == "SYNTAX_ERROR"
    assert cancelled in fake.jobs
    assert not fake.breaches


async def test_no_secret_is_in_the_store_the_log_or_the_arguments(tmp_path: Path) -> None:
    fake = FakeTrino(clock=LoopClock(), queue_seconds=0.05, password=PASSWORD)
    async with fake.serve() as url:
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"executors": {"trino": TRINO.config_at(url)}}))
        (tmp_path / "task.pb").write_bytes(TRINO.task("rows=20").raw)
        words = ("--home", "home", "--config", "config.yaml", "run", "task.pb")
        variables = {"_FSEC_TRINO_PASSWORD": PASSWORD}
        code, said, arguments = await command_line(*words, cwd=tmp_path, variables=variables)
        fake.password = "another"
        refused, told, _ = await command_line(*words, cwd=tmp_path, variables=variables)

    stored = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert code == 0, said
    assert refused not in {0, None}
    assert fake.statements() == ["SELECT 1 -- rows=20"]
    assert "***" in told
    assert PASSWORD not in said + told
    assert PASSWORD.encode() not in arguments + stored


async def test_an_engine_that_is_killed_between_two_pages_goes_on_with_the_same_query(tmp_path: Path) -> None:
    fake = FakeTrino(clock=LoopClock(), queue_seconds=0.05, password=PASSWORD)
    async with fake.serve() as url:
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"executors": {"trino": TRINO.config_at(url)}}))
        (tmp_path / "task.pb").write_bytes(TRINO.task("rows=200").raw)
        words = ("--home", "home", "--config", "config.yaml", "run", "task.pb", "--name", "t")
        variables = {"_FSEC_TRINO_PASSWORD": PASSWORD}
        first = await asyncio.create_subprocess_exec(
            *die_with_us(),
            sys.executable,
            "-m",
            "airscrew.engine.cli",
            *words,
            cwd=tmp_path,
            env={**os.environ, **variables},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(60):
            while fake.pages < 20:  # noqa: ASYNC110 - the service has no event for it
                await asyncio.sleep(0.01)
        first.kill()
        await first.wait()
        left = next(iter(fake.queries.values())).rows
        code, said, _ = await command_line(*words, cwd=tmp_path, variables=variables)

    assert code == 0, said
    assert 0 < left < 200
    assert list(fake.submitted.values()) == [1]
    assert len(fake.queries) == 1
