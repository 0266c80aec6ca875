"""
What every command is given: how to reach an engine, and where the words go.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from airscrew.engine.api.port import EngineApi
    from airscrew.engine.api.tls import ClientTls
    from airscrew.engine.config import EngineSettings, WorkScope
    from airscrew.engine.vitals import Instruments


class OpenEngine(Protocol):
    """Opens the engine of a store in this process; ``airscrew.engine.manager.open_engine`` is one."""

    def __call__(
        self,
        settings: EngineSettings,
        *,
        work: WorkScope,
        serve_socket: bool = True,
        instruments: Instruments | None = None,
    ) -> AbstractAsyncContextManager[EngineApi]:
        """
        Take the store's lock, adopt what is in scope, and work until the context is left, which drains.

        Raises:
            StoreBusyError: Another process is the store's engine.
        """
        ...


OpenViewer = Callable[["EngineSettings"], AbstractAsyncContextManager["EngineApi"]]
"""Opens a view on a store that changes nothing; needs no lock, and a store that is not there is an empty one."""


def real_open_engine(
    settings: EngineSettings,
    *,
    work: WorkScope,
    serve_socket: bool = True,
    instruments: Instruments | None = None,
) -> AbstractAsyncContextManager[EngineApi]:
    """Open the real engine."""
    from airscrew.engine.manager import open_engine

    return open_engine(settings, work=work, serve_socket=serve_socket, instruments=instruments)


def real_open_viewer(settings: EngineSettings) -> AbstractAsyncContextManager[EngineApi]:
    """Open the real viewer."""
    from airscrew.engine.manager import open_viewer

    return open_viewer(settings)


@dataclass(slots=True)
class App:
    """
    What a command works with.

    Attributes:
        open_engine: See ``OpenEngine``.
        open_viewer: See ``OpenViewer``.
        environment: The process's variables.
        now: The wall clock.
        reach: The root's options by name, as ``home`` and ``server``; a command's own come over them.
        plaintext: Whether the token may go to another machine without TLS.
    """

    open_engine: OpenEngine = real_open_engine
    open_viewer: OpenViewer = real_open_viewer
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    now: Callable[[], float] = time.time
    reach: dict[str, str | None] = field(default_factory=dict[str, str | None])
    plaintext: bool = False

    def settings(self, **overrides: object) -> EngineSettings:
        """
        Read the settings under the root's options and the command's own.

        Raises:
            UsageError: They are wrong, in one line.
        """
        from airscrew.engine.config import load_settings

        values = {"home": self.reach.get("home"), **overrides}
        return load_settings(config=self.reach.get("config"), environment=self.environment, overrides=values)

    @property
    def server(self) -> str:
        """The engine to talk to instead of the store's; empty for none."""
        return self._named("server")

    @property
    def is_plaintext(self) -> bool:
        """Whether the token may go to another machine without TLS."""
        return self.plaintext or self.environment.get("AIRSCREW_PLAINTEXT", "").lower() in {"1", "true", "yes", "on"}

    def tls(self) -> ClientTls | None:
        """Return what is shown to and trusted of ``server``; None when nothing says TLS."""
        from airscrew.engine.api.tls import ClientTls

        ca, cert, key, name = (self._named(one) for one in ("ca", "cert", "key", "server_name"))
        if not (ca or cert or key or name):
            return None
        return ClientTls(
            ca=Path(ca) if ca else None,
            certificate=Path(cert) if cert else None,
            key=Path(key) if key else None,
            server_name=name,
        )

    def _named(self, option: str) -> str:
        return self.reach.get(option) or self.environment.get(f"AIRSCREW_{option.upper()}", "")

    def token_file(self, settings: EngineSettings) -> Path:
        """Return the file that holds the token for ``server``."""
        named = self._named("token_file")
        return Path(named) if named else settings.token_path
