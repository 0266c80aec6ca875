"""What is told while an execution runs."""

from __future__ import annotations

import io

import pytest

from airscrew.engine.api.model import ExecutionView
from airscrew.engine.cli import render
from airscrew.engine.cli.progress import (
    PlainReporter,
    RichReporter,
    TerminalReporter,
    describe,
    make_reporter,
)
from airscrew.idl.phase import LogLink, Phase, TaskInfo


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def view(**changes: object) -> ExecutionView:
    values = {"phase": Phase.RUNNING, "reason": "it runs", **changes}
    return ExecutionView(execution="default/a", uid="u", task_type="t", **values)


def progress(share: float) -> ExecutionView:
    return view(info=TaskInfo(progress=share))


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (view(), "Running · it runs"),
        (view(reason=""), "Running"),
        (view(attempt=1, max_attempts=3), "Running · attempt 2/3 · it runs"),
        (progress(0.421), "Running · 42% · it runs"),
        (view(quarantined="ValueError: bad state"), "Running · quarantined: ValueError: bad state"),
        (view(reason="a\nb"), "Running · a b"),
    ],
)
def test_where_it_stands_is_one_line(shown: ExecutionView, said: str) -> None:
    assert describe(shown) == said


def test_a_pipe_gets_a_line_for_each_change_alone() -> None:
    stream = io.StringIO()
    reporter = make_reporter(stream, lambda: 0.0)

    for shown in (view(), view(phase_version=2), progress(0.01), progress(0.02), progress(0.55), view(reason="b")):
        reporter.phase(shown)
    reporter.close()

    assert stream.getvalue().splitlines() == [
        "airscrew: default/a: Running · it runs",
        "airscrew: default/a: Running · 1% · it runs",
        "airscrew: default/a: Running · 55% · it runs",
        "airscrew: default/a: Running · b",
    ]


def test_pieces_of_a_log_come_out_as_whole_lines() -> None:
    stream = io.StringIO()
    reporter = PlainReporter(stream)

    reporter.log(b"one\ntw")
    reporter.note("between")
    reporter.log(b"o\nthree \xff")
    reporter.close()

    assert stream.getvalue() == "one\nairscrew: between\ntwo\nthree �\n"


def test_a_log_link_is_told_once() -> None:
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    linked = view(info=TaskInfo(logs=(LogLink(name="console", uri="http://x"),)))

    reporter.phase(linked)
    reporter.phase(linked)

    assert stream.getvalue().count("console: http://x") == 1


def test_a_terminal_gets_one_line_that_moves_and_is_left_clean() -> None:
    stream = Terminal()
    now = 0.0
    reporter = TerminalReporter(stream, lambda: now)

    reporter.phase(view())
    now = 12.0
    reporter.tick()
    reporter.log(b"hello\n")
    reporter.close()

    text = stream.getvalue()
    assert "default/a: Running · it runs · 12s" in text
    assert "\r\x1b[2Khello\n" in text
    assert text.endswith("\r\x1b[2K")


def test_with_rich_a_terminal_gets_richs_spinner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()

    reporter = make_reporter(stream, lambda: 0.0)
    reporter.phase(view(reason="[bold]not markup[/bold]"))
    reporter.log(b"hello [x]\n")
    reporter.close()

    assert isinstance(reporter, RichReporter)
    assert "hello [x]" in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
def test_custom_state_is_told_when_it_changes_and_is_wanted(stream: io.StringIO) -> None:
    reporter = make_reporter(stream, lambda: 0.0, show_state=True)

    for state in (None, {"step": 1}, {"step": 1}, {"step": 2}):
        reporter.phase(view(custom_state=state))
    reporter.close()

    text = stream.getvalue()
    assert text.count("default/a: state") == 2
    assert text.index('{"step":1}') < text.index('{"step":2}')


def test_custom_state_is_not_told_unless_it_is_wanted() -> None:
    stream = io.StringIO()
    reporter = make_reporter(stream, lambda: 0.0)

    reporter.phase(view(custom_state={"step": 1}))
    reporter.close()

    assert "step" not in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Trace:\n\n    Traceback ...\n\nMessage:\n\n    ValueError: no such thing", "ValueError: no such thing"),
        ("Traceback (most recent call last):\n  File x\nKeyError: 'a'\n", "KeyError: 'a'"),
        ("sh exited with code 9\nwent wrong", "sh exited with code 9\nwent wrong"),
    ],
)
def test_of_an_error_its_message_is_told_before_its_traceback(text: str, said: str) -> None:
    assert render.headline(text) == said
