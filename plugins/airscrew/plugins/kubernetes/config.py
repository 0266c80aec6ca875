"""
What operators decide of tasks as objects of a cluster: ``executors.<id>`` of the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from airscrew.idl.errors import UsageError
from airscrew.plugins.kubernetes.api.connection import ClusterConfig


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
    try:
        read = msgspec.convert(own, FrameworkConfig, strict=True)
    except msgspec.ValidationError as error:
        raise UsageError(f"executors.{executor}: {error}") from error
    if read.period <= 0 or read.settle < 0 or read.cache_size < 1 or read.concurrency < 0:
        raise UsageError(
            f"executors.{executor}: period and cache_size must be above 0, settle and concurrency 0 or more"
        )
    if read.retain_seconds < 0 or read.retain_count < 0:
        raise UsageError(f"executors.{executor}: retain_seconds and retain_count must be 0 or more")
    if read.retain_count and not read.retain_seconds:
        raise UsageError(f"executors.{executor}: retain_count needs retain_seconds: say how long they stay at most")
    return read, {name: value for name, value in config.items() if name not in own}
