"""
What the engine tells of itself in numbers: the names, what is counted, and how Prometheus reads it.

``names`` is the one table of all that there is; it needs nothing installed. ``meters`` counts, cheaply, or not at all;
``exposition`` is the one door to ``prometheus-client``. A label MUST be bounded by the configuration or by the code:
never an execution, an attempt's key, a namespace or a text that somebody wrote. Nothing here decides anything.
"""

from airscrew.engine.metrics.meters import NO_METERS, Meters, NoMeters, Recorder, Sample
from airscrew.engine.metrics.names import METRICS, Metric

__all__ = ["METRICS", "NO_METERS", "Meters", "Metric", "NoMeters", "Recorder", "Sample"]
