"""
Durable truth: a small store with etcd's semantics, and the records that the engine keeps in it.

A store keeps string keys with byte values and one revision that grows with every transaction that
writes. It takes a write only with what was read (compare-and-set over several keys), answers ranges,
and tells what changed since a revision. Nothing here MUST decide what happens to an execution.
"""
