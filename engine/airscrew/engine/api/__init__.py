"""
What the engine offers to those outside it: submit, get, list, watch, kill, retry, logs.

``port`` is the interface, ``model`` its plain data, ``server`` and ``client`` carry it over gRPC. Nothing here MUST
decide what happens to an execution, or reach into the store.
"""
