"""
The store in etcd: for a cluster, and for an engine whose machine may be lost.

Here is all that knows etcd: its addresses, messages, errors and limits. Nothing here MUST know what the keys
mean, nor import ``aetcd`` before a store is opened: ``address`` is read by every command.
"""
