"""
The executor of Pods, as it is installed.
"""

from __future__ import annotations

from airscrew.engine.executor import ClusterRight
from airscrew.plugins.kubernetes.api.connection import open_connection
from airscrew.plugins.kubernetes.executor import KubernetesExecutor, OpenConnection
from airscrew.plugins.kubernetes.pod.plugin import PodPlugin
from airscrew.plugins.kubernetes.pod_view import PodView


class PodExecutor(KubernetesExecutor[PodView]):
    """
    Runs containers and Pods as Pods of a cluster.

    Args:
        connect: Opens the way to the API server.
    """

    id = PodPlugin.id
    task_types = PodPlugin.task_types
    takes_containers = PodPlugin.takes_containers
    cluster_rights = (
        ClusterRight(resources=("pods",), verbs=("create", "get", "list", "watch", "patch", "delete")),
        ClusterRight(resources=("pods/log", "podtemplates"), verbs=("get",)),
        ClusterRight(resources=("events",), verbs=("list", "watch")),
    )

    def __init__(self, connect: OpenConnection = open_connection) -> None:
        super().__init__(PodPlugin(), connect)
