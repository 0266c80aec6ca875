from __future__ import annotations

import pytest

from airscrew.idl.errors import UsageError
from airscrew.plugins.qubole.config import read_config


def test_the_secret_is_all_that_is_needed() -> None:
    assert read_config({"secret": "qubole"}).url == "https://api.qubole.com/api/v1.2"


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({}, "executors.qubole: .*secret"),
        ({"secret": ""}, r"executors\.qubole\.secret: is empty"),
        ({"secret": "s", "url": "http://api.qubole.com/api"}, "use https, for the token goes with each request"),
        ({"secret": "s", "url": "qubole"}, "use an address like"),
        ({"secret": "s", "interval": 0}, r"executors\.qubole\.interval: is 0"),
        ({"secret": "s", "token": "t"}, "token"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_its_place(raw: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_config(raw)


def test_a_service_on_this_machine_needs_no_tls() -> None:
    assert read_config({"secret": "s", "url": "http://127.0.0.1:8099/api/v1.2"}).interval == 10.0
