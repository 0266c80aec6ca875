"""
Tasks as Pods: from a task template and its attempt to the manifest, and from the Pod back to the phase.

Pure, but for the executor at its end: a manifest is plain JSON and the same for the same attempt, whenever it is
built. Nothing here MUST put the value of a secret into a manifest, and nothing that the administrator's policy forbids
may leave here.
"""
