"""The engine's own log, as people see it."""

from __future__ import annotations

import logging

import pytest

from airscrew.engine.cli.log import StderrHandler, line, show_warnings


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("airscrew.x", logging.WARNING, __file__, 1, message, None, None)
    vars(made).update(fields)
    return made


def test_a_warning_is_a_line_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    StderrHandler().emit(record("an executor blocked the loop", executor="slow", seconds=0.3, stack="a\nb"))

    assert capsys.readouterr().err == "airscrew: warning: an executor blocked the loop (executor=slow, seconds=0.3)\n"


def test_what_takes_more_than_a_line_is_shown_to_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRSCREW_DEBUG", "1")

    assert line(record("blocked", stack="a\nb")) == "blocked (stack=a b)"


def test_an_error_that_a_record_carries_is_named() -> None:
    made = record("call failed")
    made.exc_info = (ValueError, ValueError("no\nsuch thing"), None)

    assert line(made) == "call failed (error=ValueError('no\\nsuch thing'))"


def test_warnings_are_shown_once() -> None:
    logger = logging.getLogger("airscrew")
    before = list(logger.handlers)

    show_warnings()
    show_warnings()

    assert len([one for one in logger.handlers if isinstance(one, StderrHandler)]) == 1
    logger.handlers = before
