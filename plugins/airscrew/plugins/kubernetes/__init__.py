"""
Tasks as objects of a Kubernetes cluster.

What is here decides purely: how a Pod stands is read from the few fields that matter and told as a phase with its code
and its kind; what the API server answers to a creation is told as what the engine does next. Nothing here MUST talk to
a cluster, or build the full model of an object.
"""
