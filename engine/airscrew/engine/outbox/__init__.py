"""
Phase events on their way out: from the store to the sinks, at least once, in order within an execution.

An event is in the transaction that made it, so none is lost; a sink's cursor moves only after the sink took the event,
so none is skipped; an event is erased only when every sink has it. A slow or broken sink delays nobody but itself.
Nothing here MUST be awaited by the controller's loop.
"""

from airscrew.engine.outbox.outbox import Limits, Outbox, OutboxStatistics, SinkStatistics
from airscrew.engine.outbox.sinks import FileSink, LogSink, MemorySink, RefusedError, Sink

__all__ = [
    "FileSink",
    "Limits",
    "LogSink",
    "MemorySink",
    "Outbox",
    "OutboxStatistics",
    "RefusedError",
    "Sink",
    "SinkStatistics",
]
