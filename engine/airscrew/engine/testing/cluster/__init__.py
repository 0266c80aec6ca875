"""
A Kubernetes cluster for tests: found, made or lent, and the same to a test whichever it is.

A test asks for the fixture ``cluster`` (``pytest_plugin``) and gets a ``Cluster``: a kubeconfig, ``kubectl``,
namespaces that go with the test, images, and the faults that this kind of cluster can have. Who provides it is the
first ``Provider`` that can. A test that needs a cluster MUST fail where none can be had, and say what to install: one
that is skipped proves nothing. It talks through kubectl alone, so it needs no client library.
"""
