"""
A wire to a server that a test can hold: what is sent meanwhile arrives later, whatever became of the sender.

It is how a request gets late in a real network, and what a paused process has sent before it was paused.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Self


@dataclass
class HoldingProxy:
    """
    Passes connections on to a server; open it with ``with``.

    Attributes:
        host: Of the server, and of this.
        target: The server's port.
        port: Where this listens.
        held: How many bytes were sent and have not yet been passed on.
    """

    host: str
    target: int
    port: int = 0
    held: int = 0
    _open: threading.Event = field(default_factory=threading.Event)
    _counting: threading.Lock = field(default_factory=threading.Lock)
    _listener: socket.socket | None = None
    _ends: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._open.set()
        self._listener = socket.create_server((self.host, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.set()
        if self._listener is not None:
            self._listener.close()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def hold(self) -> None:
        """Let nothing more reach the server; its answers go on."""
        self._open.clear()

    def release(self) -> None:
        """Let all that was held reach the server, and what follows."""
        self._open.set()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((self.host, self.target))
                self._ends += [client, server]
                threading.Thread(target=self._pass_requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass_answers, args=(server, client), daemon=True).start()

    def _pass_requests(self, client: socket.socket, server: socket.socket) -> None:
        """Read on while held: ``held`` is all that was sent, not what came first and hides the rest behind it."""
        passing: SimpleQueue[bytes] = SimpleQueue()
        threading.Thread(target=self._send, args=(passing, server), daemon=True).start()
        with suppress(OSError):
            while data := client.recv(65536):
                self._count(len(data))
                passing.put(data)
        passing.put(b"")

    def _send(self, passing: SimpleQueue[bytes], server: socket.socket) -> None:
        with suppress(OSError):
            while data := passing.get():
                self._open.wait()
                self._count(-len(data))
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _count(self, size: int) -> None:
        with self._counting:
            self.held += size

    def _pass_answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)
