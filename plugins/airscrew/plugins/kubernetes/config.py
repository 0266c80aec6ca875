"""
What operators decide of tasks as objects of a cluster: ``executors.<id>`` of the settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from airscrew.plugins.kubernetes.api.connection import ClusterConfig
from airscrew.plugins.settings import read_settings


class FrameworkConfig(msgspec.Struct, frozen=True, kw_only=True):
    """
    The keys that every executor over Kubernetes has.

    Attributes:
        kubeconfig: A file; empty for the Pod's own account inside a cluster, else for what KUBECONFIG names.
        context: A context of it; empty for the current one.
        watch: Whether objects are watched, beside being listed.
        events: Which events about objects are shown as reasons: ``warnings``, ``all`` or ``none``.
        cluster_wide: Whether one watch takes in all namespaces, which needs a ClusterRole.
        period: How often objects are listed where nothing is watched, seconds.
        cache_size: How many objects are kept.
        namespaces: Where objects may be made; empty for anywhere.
        labels: For all objects.
        annotations: For all objects.
        finalizer: Whether an object is held until the engine has seen its end.
        settle: How long a request for a new object may be on its way, seconds.
        concurrency: How many objects may be live at once; 0 for no limit.
        retain_seconds: How long objects are kept that ended by themselves; 0 to delete them at once.
        retain_count: How many of them are kept in a namespace; 0 for no limit.
    """

    kubeconfig: str = ""
    context: str = ""
    watch: bool = True
    events: Literal["warnings", "all", "none"] = "warnings"
    cluster_wide: bool = False
    period: float = 10.0
    cache_size: int = 100_000
    namespaces: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizer: bool = True
    settle: float = 30.0
    concurrency: int = 0
    retain_seconds: float = 0.0
    retain_count: int = 0

    @property
    def cluster(self) -> ClusterConfig:
        """Which cluster."""
        return ClusterConfig(kubeconfig=self.kubeconfig, context=self.context)


def read_config(executor: str, config: Mapping[str, object]) -> tuple[FrameworkConfig, dict[str, object]]:
    """
    Read the framework's keys, and return the others, which are the plugin's.

    Raises:
        UsageError: Names the key.
    """
    own = {name: value for name, value in config.items() if name in FrameworkConfig.__struct_fields__}
    read = read_settings(executor, own, FrameworkConfig, _problems)
    return read, {name: value for name, value in config.items() if name not in own}


def _problems(config: FrameworkConfig) -> Iterator[str]:
    for name in ("period", "cache_size"):
        if getattr(config, name) <= 0:
            yield f"{name}: is {getattr(config, name):g}: use more than 0"
    for name in ("settle", "concurrency", "retain_seconds", "retain_count"):
        if getattr(config, name) < 0:
            yield f"{name}: is {getattr(config, name):g}: use 0 or more"
    if config.retain_count and not config.retain_seconds:
        yield "retain_count: needs retain_seconds: say how long they stay at most"
