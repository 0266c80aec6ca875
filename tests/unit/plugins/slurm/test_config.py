"""
Whatever is wrong with the configuration is one line that names the place.
"""

from __future__ import annotations

import pytest

from airscrew.engine.errors import UsageError
from airscrew.plugins.slurm.config import read_config


def test_an_empty_cluster_is_this_machine_s() -> None:
    config = read_config({"clusters": {"local": {}}})

    assert config.clusters["local"].host == ""
    assert config.settle == config.clusters["local"].settle


def test_the_longest_settle_is_declared_for_all() -> None:
    assert read_config({"clusters": {"a": {"settle": 90}, "b": {"settle": 40}}}).settle == 90


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({"interval": 0}, "interval: it must be above 0"),
        ({"batch": 0}, "batch: it must be at least 1"),
        ({"commands_per_second": 0}, "commands_per_second: it must be above 0"),
        ({"timeout": 60, "settle": 60}, "settle: it must be above timeout"),
        ({"user": "me"}, "host: user, private_key and known_hosts are for a cluster over SSH"),
        ({"path": "bin"}, "path: 'bin' is no absolute path"),
        ({"directory": "~/x"}, "directory: '~/x' is no absolute path"),
        ({"environment": {"A B": "1"}}, "environment: 'A B' is no name of a variable"),
    ],
)
def test_what_is_wrong_with_a_cluster_names_it(cluster: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=f"clusters.big.{words}"):
        read_config({"clusters": {"big": cluster}})


def test_no_cluster_at_all_is_told_with_the_way_out() -> None:
    with pytest.raises(UsageError, match="at least one is needed"):
        read_config({"clusters": {}})
