from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as some

from airscrew.plugins.kubernetes.pod_view import MalformedPodError, PodView, decode_pod


def test_what_a_pod_does_not_say_has_its_default() -> None:
    assert decode_pod(b"{}") == PodView()


def test_a_field_of_another_type_is_named() -> None:
    with pytest.raises(MalformedPodError, match=r"\$\.status\.containerStatuses\[0\]\.state\.terminated\.exitCode"):
        decode_pod(b'{"status": {"containerStatuses": [{"state": {"terminated": {"exitCode": "1"}}}]}}')


def test_what_is_asked_for_by_name_is_found() -> None:
    pod = decode_pod(
        b'{"status": {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{"name": "main"}]}}'
    )

    assert pod.condition("Ready") is pod.status.conditions[0]
    assert pod.container("main") is pod.status.container_statuses[0]
    assert pod.condition("PodScheduled") is pod.container("other") is None


@given(some.binary(max_size=60) | some.text(max_size=60).map(str.encode))
def test_no_bytes_do_more_harm_than_an_error(data: bytes) -> None:
    with suppress(MalformedPodError):
        decode_pod(data)
