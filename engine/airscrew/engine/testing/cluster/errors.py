"""
What can be wrong with a test cluster.
"""

from __future__ import annotations


class ClusterError(Exception):
    """Something is wrong with the test cluster, not with what is tested."""


class CannotError(ClusterError):
    """There is no such cluster here, or it has no such fault; the message says what to do."""


class KubectlError(ClusterError):
    """kubectl failed; the message is what it said."""
