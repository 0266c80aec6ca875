"""
Measurements of the engine on the machine that it is on.

``engine``, ``inflight``, ``reopen``, ``blocking``, ``startup``, ``overhead``, ``pods`` and ``pod_events`` each have
``async def measure(options) -> dict``, whose keys are the figures that ``airscrew bench`` prints. Nothing here MUST be
imported by any other command. What a measurement needs of a plugin it finds by the entry-point group
``airscrew.benchmarks``: the engine knows none.
"""

from __future__ import annotations

import msgspec


class PodOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where Pods are measured, and which.

    Attributes:
        kubeconfig: A file; empty for what the executor finds by itself.
        context: A context of it; empty for the current one.
        namespace: Where the Pods are; it has to be there.
        image: What they run.
        node: The node that they are put on past the scheduler; empty to leave it to the scheduler.
        in_flight: How many are there at once.
        events: How many changes of Pods are made.
        rate: How many of them a second.
    """

    kubeconfig: str = ""
    context: str = ""
    namespace: str = "default"
    image: str = "busybox"
    node: str = ""
    in_flight: int = 128
    events: int = 600
    rate: float = 20.0


class BenchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is measured.

    Attributes:
        tasks: How many tasks.
        finished: How many that are over lie in the store beside them, for ``reopen``.
        store: ``memory`` or ``sqlite:PATH``; empty for a new sqlite file in ``directory``.
        repeat: How often, for ``startup``, ``overhead`` and ``pods``.
        directory: A folder for files, made for the run and removed after it.
        metrics: Whether the engine counts as it does where metrics are read.
        pods: For ``pods`` and ``pod_events``.
    """

    tasks: int = 1000
    finished: int = 0
    store: str = ""
    repeat: int = 5
    directory: str = ""
    metrics: bool = False
    pods: PodOptions = PodOptions()
