"""A wire that a test can hold: what is counted as held, and what arrives."""

from __future__ import annotations

import socket

from tests.e2e.user import until
from tests.support.holding_proxy import HoldingProxy


def test_all_that_is_sent_while_a_wire_is_held_counts_as_held_and_arrives_in_order() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, HoldingProxy(*server.getsockname()) as wire:
        wire.hold()
        with socket.create_connection((wire.host, wire.port)) as client:
            passed, _ = server.accept()
            client.sendall(b"a small frame that comes first")
            until(lambda: wire.held == 30, "the first frame is held")
            client.sendall(b"and a large one" * 100)
            until(lambda: wire.held == 1530, "the second is counted though the first waits")
            wire.release()
            with passed:
                passed.settimeout(10.0)
                came = b""
                while len(came) < 1530:
                    came += passed.recv(4096)
    assert came == b"a small frame that comes first" + b"and a large one" * 100
