"""
What is told of an execution while it runs, on stderr: lines in a pipe, one line that moves on a terminal.

Lines tell of changes alone, so a log of them stays short. The moving line is rich's when rich is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TextIO

from typing_extensions import override

from airscrew.engine.cli import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.status import Status

    from airscrew.engine.api.model import ExecutionView

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_STEP = 10


class Reporter(Protocol):
    """Tells of executions."""

    def phase(self, view: ExecutionView) -> None:
        """Tell where an execution stands; called with each view of it."""
        ...

    def log(self, data: bytes) -> None:
        """Tell a piece of its log."""
        ...

    def note(self, text: str) -> None:
        """Tell something else, in a line of its own."""
        ...

    def tick(self) -> None:
        """Move what moves; called ten times a second."""
        ...

    def close(self) -> None:
        """Leave the terminal clean; called once, last."""
        ...


class PlainReporter(Reporter):
    """Writes a line for each change."""

    def __init__(self, stream: TextIO, *, show_state: bool = False) -> None:
        self._stream = stream
        self._show_state = show_state
        self._told: dict[str, tuple[object, ...]] = {}
        self._states: dict[str, str] = {}
        self._links: set[str] = set()
        self._rest = b""

    @override
    def phase(self, view: ExecutionView) -> None:
        progress = -1 if view.info.progress is None else int(view.info.progress * 100) // _STEP
        told = (view.phase, view.reason, view.attempt, progress, view.quarantined)
        if self._told.get(view.execution) != told:
            self._told[view.execution] = told
            self.note(f"{view.execution}: {describe(view)}")
        for link in view.info.logs:
            if link.uri not in self._links:
                self._links.add(link.uri)
                self.note(f"{view.execution}: {link.name}: {link.uri}")
        self._tell_state(view)

    def _tell_state(self, view: ExecutionView) -> None:
        state = render.one_line_json(view.custom_state) if self._show_state and view.custom_state is not None else ""
        if state and self._states.get(view.execution) != state:
            self._states[view.execution] = state
            self.note(f"{view.execution}: state {state}")

    @override
    def log(self, data: bytes) -> None:
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if newline:
            self._write(whole.decode(errors="replace") + "\n")

    @override
    def note(self, text: str) -> None:
        self._write(f"airscrew: {text}\n")

    @override
    def tick(self) -> None:
        pass

    @override
    def close(self) -> None:
        if self._rest:
            self._write(self._rest.decode(errors="replace") + "\n")
            self._rest = b""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class TerminalReporter(PlainReporter):
    """Keeps one line that moves below what is written."""

    def __init__(self, stream: TextIO, now: Callable[[], float], *, show_state: bool = False) -> None:
        super().__init__(stream, show_state=show_state)
        self._now = now
        self._frame = 0
        self._line = ""
        self._begun = now()

    @override
    def phase(self, view: ExecutionView) -> None:
        self._line = f"{view.execution}: {describe(view)}"
        for link in view.info.logs:
            if link.uri not in self._links:
                self._links.add(link.uri)
                self.note(f"{link.name}: {link.uri}")
        self._tell_state(view)
        self.tick()

    @override
    def tick(self) -> None:
        self._frame = (self._frame + 1) % len(_FRAMES)
        self._stream.write(f"\r\x1b[2K{_FRAMES[self._frame]} {self.line()}")
        self._stream.flush()

    def line(self) -> str:
        """Return what the moving line says, with the time since the begin."""
        return f"{render.cut(self._line, 100)} · {render.duration(self._now() - self._begun)}" if self._line else ""

    @override
    def close(self) -> None:
        self._stream.write("\r\x1b[2K")
        super().close()

    @override
    def _write(self, text: str) -> None:
        self._stream.write(f"\r\x1b[2K{text}")
        self._stream.flush()


class RichReporter(TerminalReporter):
    """The same with rich's spinner."""

    def __init__(self, stream: TextIO, now: Callable[[], float], *, show_state: bool = False) -> None:
        super().__init__(stream, now, show_state=show_state)
        from rich.console import Console

        self._console = Console(file=stream, highlight=False)
        self._status: Status = self._console.status("")
        self._status.start()

    @override
    def tick(self) -> None:
        from rich.text import Text

        self._status.update(Text(self.line()))

    @override
    def close(self) -> None:
        self._status.stop()
        PlainReporter.close(self)

    @override
    def _write(self, text: str) -> None:
        self._console.out(text, end="", highlight=False)


def describe(view: ExecutionView) -> str:
    """Say where an execution stands."""
    parts = [view.phase.title]
    if view.quarantined:
        parts.append(f"quarantined: {view.quarantined}")
    if view.info.progress is not None and not view.is_over:
        parts.append(f"{view.info.progress:.0%}")
    if view.attempt > 0:
        parts.append(f"attempt {view.attempt + 1}/{max(view.max_attempts, view.attempt + 1)}")
    if view.reason and not view.quarantined:
        parts.append(render.cut(render.headline(view.reason), 200))
    return " · ".join(parts)


def make_reporter(stream: TextIO, now: Callable[[], float], *, show_state: bool = False) -> Reporter:
    """Choose the reporter that suits a stream; with ``show_state`` it also tells custom state when that changes."""
    if not stream.isatty():
        return PlainReporter(stream, show_state=show_state)
    try:
        return RichReporter(stream, now, show_state=show_state)
    except ImportError:
        return TerminalReporter(stream, now, show_state=show_state)
