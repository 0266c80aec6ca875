"""
The API server, as the executors need it: objects by their kind, lists in pages, watches that go on.

Requests and answers are bytes of JSON, of which only the fields that are read are ever decoded. The ``kubernetes``
package finds the cluster and vouches for us there; it is imported nowhere else, and nothing here MUST build one of its
models: they cost a hundred times as much.
"""
