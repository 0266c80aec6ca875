"""The configuration: what is wrong is named by its key."""

from __future__ import annotations

from typing import Any

import pytest

from airscrew.idl.errors import UsageError
from airscrew.plugins.kubernetes.pod.config import PodConfig, read_config

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"unknown": 1}, "executors.pod: Object contains unknown field `unknown`"),
    ({"loader": {"imagee": "x"}}, "executors.pod.loader: Object contains unknown field `imagee`"),
    ({"default_env": {"A": 1}}, "executors.pod.default_env[...]: Expected `str`, got `int`"),
    ({"default_requests": {"cpu": "lots"}}, "executors.pod.default_requests.cpu: 'lots' is no quantity"),
    ({"max_resources": {"memory": "-1Gi"}}, "executors.pod.max_resources.memory: '-1Gi' is no quantity"),
    ({"loader": {"limits": {"cpu": ""}}}, "executors.pod.loader.limits.cpu: '' is no quantity"),
    ({"image_pull_policy": "Sometimes"}, "executors.pod.image_pull_policy: is 'Sometimes'"),
    ({"loader": {"image_pull_policy": "always"}}, "executors.pod.loader.image_pull_policy: is 'always'"),
    ({"host_network": True}, "executors.pod.host_network: is on, and policy.host_network forbids it"),
    ({"secrets": {"any": "both"}}, "executors.pod.secrets.any: is 'both': use env or file"),
    ({"secrets": {"directory": "secrets"}}, "executors.pod.secrets.directory: is 'secrets'"),
    ({"secrets": {"default": "Ours"}}, "executors.pod.secrets.default: 'Ours' cannot be a Secret's name"),
    ({"secrets": {"names": {"g": "a/b"}}}, "executors.pod.secrets.names.g: 'a/b' cannot be a Secret's name"),
    ({"loader": {"max_file_bytes": 0}}, "executors.pod.loader.max_file_bytes: is 0"),
    ({"loader": {"upload_timeout": 0}}, "executors.pod.loader.upload_timeout: is 0"),
    ({"image_pull_grace": -1}, "executors.pod.image_pull_grace: is -1"),
    ({"logs": {"cloudwatch_region": "r"}}, "executors.pod.logs.cloudwatch_region: needs logs.cloudwatch_log_group"),
    ({"logs": {"templates": [{"name": "n", "uris": []}]}}, "executors.pod.logs.templates[0].uris: is empty"),
    ({"accelerators": {"X": {"device_label": "d"}}}, "missing required field `resource_name`"),
]


@pytest.mark.parametrize(("raw", "told"), WRONG)
def test_what_is_wrong_is_named(raw: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_config(raw)

    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_has_to_be_configured() -> None:
    assert read_config({}) == PodConfig()


def test_a_device_class_of_the_configuration_replaces_the_known_one() -> None:
    config = read_config({"accelerators": {"NVIDIA_GPU": {"resource_name": "x/gpu", "device_label": "kind"}}})

    assert config.device_class("NVIDIA_GPU").resource_name == "x/gpu"
    assert config.device_class("GOOGLE_TPU").resource_name == "google.com/tpu"
    assert config.device_class("something new").resource_name == "x/gpu"
