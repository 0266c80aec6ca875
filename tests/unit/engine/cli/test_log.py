"""The engine's own log, as people and machines read it."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.unit.engine.cli.conftest import Opened, Result

from airscrew.engine.cli.log import announce, show_log, show_warnings
from airscrew.engine.config import Log
from airscrew.engine.data.secrets import Redactor
from airscrew.engine.logs import LineHandler, json_line, line_handler, masking, text_line
from airscrew.state.errors import StoreUnavailableError


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Give back what a test does to the process's logging."""
    loggers = (logging.getLogger(), logging.getLogger("airscrew"))
    before = [(list(logger.handlers), logger.level) for logger in loggers]
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for logger, (handlers, level) in zip(loggers, before, strict=True):
            logger.handlers, logger.level = handlers, level
            logger.setLevel(level)


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("airscrew.x", logging.WARNING, __file__, 1, message, None, None)
    vars(made).update(fields)
    return made


def failure() -> Any:
    try:
        raise ValueError("no\nsuch thing")
    except ValueError:
        return sys.exc_info()


class TestText:
    def test_a_warning_is_a_line_with_its_fields(self, capsys: pytest.CaptureFixture[str]) -> None:
        LineHandler().emit(record("an executor blocked the loop", executor="slow", seconds=0.3, stack="a\nb"))

        assert (
            capsys.readouterr().err == "airscrew: warning: an executor blocked the loop (executor=slow, seconds=0.3)\n"
        )

    def test_what_takes_more_than_a_line_is_shown_to_who_asks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRSCREW_DEBUG", "1")

        assert text_line(record("blocked", stack="a\nb")) == "blocked (stack=a b)"

    def test_an_error_that_a_record_carries_is_named(self) -> None:
        assert text_line(record("call failed", exc_info=failure())) == (
            "call failed (error=ValueError('no\\nsuch thing'))"
        )

    def test_warnings_are_shown_once(self) -> None:
        show_warnings()
        show_warnings()

        assert len([one for one in logging.getLogger("airscrew").handlers if isinstance(one, LineHandler)]) == 1

    def test_more_is_shown_where_the_level_says_so(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_log(Log(level="info"))

        logging.getLogger("airscrew.events").info("phase", extra={"phase": "Running"})
        logging.getLogger("airscrew.events").debug("detail")

        assert capsys.readouterr().err == "airscrew: info: phase (phase=Running)\n"


class TestJson:
    def test_what_a_library_puts_on_every_record_is_not_shown(self) -> None:
        factory = logging.getLogRecordFactory()

        def made(*arguments: Any, **more: Any) -> logging.LogRecord:
            one = factory(*arguments, **more)
            vars(one)["run_name"] = None
            return one

        logging.setLogRecordFactory(made)
        try:
            told = json.loads(json_line(logging.makeLogRecord({"msg": "phase", "phase": "Running"})))
        finally:
            logging.setLogRecordFactory(factory)

        assert told["phase"] == "Running"
        assert "run_name" not in told

    def test_a_record_is_an_object_with_its_fields(self) -> None:
        told = json.loads(json_line(record("an executor blocked", executor="slow", seconds=0.3, stack_info=None)))

        assert told.pop("time").endswith("Z")
        assert told == {
            "level": "warning",
            "logger": "airscrew.x",
            "message": "an executor blocked",
            "executor": "slow",
            "seconds": 0.3,
        }

    def test_an_exception_is_a_field_and_the_record_stays_one_line(self) -> None:
        line = json_line(record("call failed", exc_info=failure(), stack="a\nb"))

        assert "\n" not in line
        told = json.loads(line)
        assert told["exception"].startswith("Traceback (most recent call last):\n")
        assert told["exception"].endswith("ValueError: no\nsuch thing")
        assert told["stack_"] == "a\nb"

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (float("nan"), "nan"),
            (b"\xff", "b'\\xff'"),
            ("lone \ud800", "lone \ud800"),
            ({"a": {1: (2, None)}}, {"a": {"1": [2, None]}}),
            (ValueError("x"), "x"),
            (True, True),
        ],
    )
    def test_whatever_a_field_holds_it_can_be_written(self, value: object, shown: object) -> None:
        line = json_line(record("m", field=value))

        assert line.isascii()
        assert json.loads(line)["field"] == shown

    def test_a_value_that_holds_itself_comes_to_an_end(self) -> None:
        loop: list[object] = []
        loop.append(loop)

        assert json.loads(json_line(record("m", field=loop)))["field"]

    def test_a_field_does_not_take_the_place_of_what_every_record_has(self) -> None:
        told = json.loads(json_line(record("m", time="noon", level="high", logger="mine")))

        assert (told["time_"], told["level_"], told["logger_"]) == ("noon", "high", "mine")
        assert told["level"] == "warning"

    def test_what_others_log_is_an_object_too_each_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_log(Log(format="json"))
        show_log(Log(format="json"))

        logging.getLogger("aiohttp.server").error("a stranger's words")
        logging.getLogger("airscrew.x").warning("ours")
        logging.getLogger("airscrew.x").info("not asked for")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old\nways", DeprecationWarning, stacklevel=1)

        told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert [one["message"].split(": ")[0] if "old" in one["message"] else one["message"] for one in told][:2] == [
            "a stranger's words",
            "ours",
        ]
        assert [one["logger"] for one in told] == ["aiohttp.server", "airscrew.x", "py.warnings"]

    def test_what_a_command_says_is_an_object_whatever_the_level(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_log(Log(format="json", level="error"))

        announce("serving on unix:/s", "serving", {"socket": "unix:/s"})

        told = json.loads(capsys.readouterr().err)
        assert (told["message"], told["socket"], told["level"]) == ("serving", "unix:/s", "info")


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_masked_as_long_as_an_engine_knows_them(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_log(Log(format=form))
    log, redactor = logging.getLogger("airscrew.x"), Redactor(['hush"hush'])

    with masking(redactor.redact):
        log.warning("failed", extra={"error": 'login with hush"hush refused'})
        try:
            raise ValueError('hush"hush')
        except ValueError:
            log.exception("failed")
    masked = capsys.readouterr().err
    log.warning("failed", extra={"error": 'hush"hush'})

    assert len(masked.splitlines()) == 2
    assert "hush" not in masked
    assert "hush" in capsys.readouterr().err


def test_without_a_log_nothing_is_masked_and_nothing_fails() -> None:
    for logger in (logging.getLogger(), logging.getLogger("airscrew")):
        logger.handlers = [one for one in logger.handlers if not isinstance(one, LineHandler)]

    with masking(str):
        assert line_handler() is None


def test_a_record_that_cannot_be_written_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    show_log(Log(format="json"))

    logging.getLogger("airscrew.x").warning("m", extra={"field": Unprintable()})
    logging.getLogger("airscrew.x").warning("next")

    assert json.loads(capsys.readouterr().err.splitlines()[-1])["message"] == "next"


def test_every_line_of_serve_is_an_object_to_its_last(
    airscrew: Callable[..., Result], opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airscrew.engine.cli.commands.serve.IDLE_SECONDS", 0.0)
    monkeypatch.setattr("airscrew.engine.cli.commands.serve.FIRST_PAUSE_SECONDS", 0.0)
    opened.busy = [StoreUnavailableError("etcd is\naway")]

    well = airscrew("serve", "--until-idle", "--log-format", "json", "--health", "127.0.0.1:0")
    ill = airscrew("serve", "--log-format", "json", "--listen", "nowhere")

    told = [json.loads(line) for line in (well.err + ill.err).splitlines()]
    assert [one["message"] for one in told] == [
        "health is told",
        "waiting for the store",
        "serving",
        "draining",
        "the command failed",
    ]
    assert told[1]["why"] == "etcd is away"
    assert "use HOST:PORT" in told[-1]["why"]
    assert (well.code, ill.code) == (0, 2)


@pytest.mark.parametrize("key", ["format", "level"])
def test_a_log_that_cannot_be_is_named(airscrew: Callable[..., Result], app: Any, key: str) -> None:
    app.environment |= {f"AIRSCREW_LOG_{key.upper()}": "loud"}

    result = airscrew("serve")

    assert (result.code, f"log.{key} is 'loud': it must be one of " in result.err) == (2, True)
