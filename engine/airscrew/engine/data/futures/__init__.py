"""
The plan of children that a ``@dynamic`` task leaves in ``futures.pb``: which tasks, with which inputs, in which order.

Pure functions over ``flyteidl.core``; only Flyte 1 has such files. A plan holds tasks alone: whatever else a workflow
may contain is refused by its name. Nothing here MUST start or store anything.
"""

from __future__ import annotations

from airscrew.engine.data.futures.bindings import UnresolvedError, resolve_bindings
from airscrew.engine.data.futures.plan import DynamicPlan, NodePlan, plan_futures, ready_nodes

__all__ = ["DynamicPlan", "NodePlan", "UnresolvedError", "plan_futures", "ready_nodes", "resolve_bindings"]
