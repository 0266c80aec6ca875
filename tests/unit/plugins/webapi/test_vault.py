"""Secrets come by reference, are known in memory alone, and are in nothing that leaves."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from tests.unit.plugins.webapi.webapi_kit import SeenJob, View, open_bench

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Findable, TaskStatus
from airscrew.idl.phase import LogLink, Phase, TaskInfo
from airscrew.plugins.webapi import UnclearError, Vault

pytestmark = pytest.mark.virtual_time

SECRET = "s3cr3t-v4lue"


def knowing(*values: str) -> Vault:
    vault = Vault({})
    vault._known.update(values)
    return vault


def test_every_known_value_is_taken_out_the_longest_first() -> None:
    assert knowing("abc", "abcdef").clean("x abcdef y abc") == "x *** y ***"


def test_trees_are_cleaned_in_all_their_texts() -> None:
    tree = {"abc": ["xabc", {"k": ("abc", 3, None)}], "n": 1.5}

    assert knowing("abc").clean_tree(tree) == {"***": ["x***", {"k": ["***", 3, None]}], "n": 1.5}


def test_a_vault_does_not_show_what_it_holds() -> None:
    assert "abc" not in repr(knowing("abc"))


async def test_a_missing_secret_names_the_key_and_nothing_is_asked_for() -> None:
    async with open_bench() as bench:
        attempt = bench.job()
        attempt.data.secrets = {}

        with pytest.raises(PermanentError, match="jobs-token"):
            await attempt.start()

        assert bench.service.requests() == 0


async def test_a_replaced_secret_is_read_again_after_it_was_refused() -> None:
    async with open_bench() as bench:
        attempt = bench.job(100.0)
        await attempt.run(until=Phase.RUNNING)

        bench.service.token = "new"
        attempt.data.secrets = {"jobs-token": "new"}
        status = await attempt.run()

    assert status.phase is Phase.SUCCESS


async def test_a_plugin_that_puts_its_secret_everywhere_has_it_taken_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_bench(start=Findable()) as bench:
        plain = bench.plugin.status

        def leaky(state: SeenJob, view: View | None) -> TaskStatus[SeenJob]:
            status = plain(state, view)
            spoilt = SeenJob(id=status.state.id, created_at=status.state.created_at, status=f"{status.state.status}")
            info = TaskInfo(logs=(LogLink(name="log", uri=f"http://x/?t={SECRET}"),), custom_info={"t": [SECRET]})
            return replace(status, state=spoilt, reason=f"{status.reason} with {SECRET}", info=info)

        bench.plugin.status = leaky  # type: ignore[method-assign]
        attempt = bench.job(20.0, note=SECRET)
        status = await attempt.run()

    assert status.phase is Phase.SUCCESS
    told = repr((attempt.raw_state, attempt.reports, attempt.data.files, caplog.records, caplog.text))
    assert SECRET not in told
    assert any("***" in report.reason for report in attempt.reports)


async def test_a_secret_in_an_error_is_taken_out_and_the_error_means_the_same() -> None:
    async with open_bench() as bench:

        async def fail(*_: object, **__: object) -> object:
            raise UnclearError(f"http://user:{SECRET}@example.test answered 500")

        bench.plugin.ask = fail  # type: ignore[method-assign]
        with pytest.raises(UnclearError) as error:
            await bench.job().start()

    assert str(error.value) == "http://user:***@example.test answered 500"
