"""
From a Python source file of a user's to a task template: the only part that knows flytekit and Flyte 2 as libraries.

``serialize`` is a program of its own, ``python -m airscrew.engine.sdk.serialize``: importing a user's file runs the
user's code and a second of SDK, which belong in no engine. ``child`` starts it and reads its answer; ``model`` is what
they say to each other. ``source`` imports a file under the name that the task's process will import it by;
``flytekit_source`` and ``flyte2_source`` find its tasks and write one in the SDK's own wire form.

The engine, and anything on the way of the command line's start, MUST import ``child`` and ``model`` alone. No module
here MUST import an SDK at its top.
"""
