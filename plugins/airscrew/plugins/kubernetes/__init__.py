"""
Tasks as objects of a Kubernetes cluster.

What is here decides purely: how a Pod stands is read from the few fields that matter and told as a phase with its code
and its kind. Nothing of it talks to a cluster.
"""
