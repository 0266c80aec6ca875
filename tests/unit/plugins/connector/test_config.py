from __future__ import annotations

from typing import Any

import pytest

from airscrew.engine.executor import AtMostOnce, Idempotent
from airscrew.idl.errors import UsageError
from airscrew.idl.wire import WireForm
from airscrew.plugins.connector.config import read_config, start_declaration


def config_of(**service: Any) -> Any:
    return read_config({"services": {"files": service}})


@pytest.mark.parametrize(
    ("service", "message"),
    [
        ({}, "services.files.endpoint: give either endpoint or in_process"),
        ({"in_process": {"workers": 0}}, "services.files.in_process.workers: is 0: use 1 or more"),
        ({"endpoint": "a:1", "in_process": {}}, "services.files.endpoint: give either endpoint or in_process"),
        ({"endpoint": "a:1", "insecure": True, "token_file": "/t"}, "token_file: would be sent in the clear"),
        ({"endpoint": "a:1", "insecure": True, "tls": {}}, "insecure: means nothing beside tls"),
        ({"endpoint": "a:1", "tls": {"key": "/k"}}, "tls: certificate and key belong together"),
        ({"endpoint": "a:1", "interval": 0}, "interval: is 0.0: use more than 0"),
        ({"endpoint": "a:1", "task_types": ["a/b"]}, "task_types: 'a/b' is none"),
        (
            {"endpoint": "a:1", "protocol": "flyte3"},
            "executors.connector.services[...].protocol: Invalid enum value 'flyte3'",
        ),
        ({"endpoint": "a:1", "nterval": 1}, "unknown field `nterval`"),
    ],
)
def test_a_mistake_is_one_line_that_names_its_place(service: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        config_of(**service)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_start_is_made_once_unless_the_connectors_know_the_key() -> None:
    assert start_declaration(read_config({})) == AtMostOnce()
    assert start_declaration(read_config({"start": {"how": "idempotent", "window": 60}})) == Idempotent(window=60.0)


def test_the_generation_of_connectors_in_process_follows_from_their_sdk() -> None:
    assert config_of(in_process={"sdk": "flyte"}).services["files"].wire_form is WireForm.FLYTE2
    assert config_of(in_process={}).services["files"].wire_form is WireForm.FLYTE1
