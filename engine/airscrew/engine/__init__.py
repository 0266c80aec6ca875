"""
The engine: what decides and drives.

It reads task templates, dispatches each by its task type to one executor, keeps the executor's custom state in the
store as the only truth, and sees every execution to its end. It knows no plugin: executors are found by entry point
or registered, and nothing here MUST import ``airscrew.plugins``. What decides is apart from what acts: ``machine``
is pure, ``controller`` carries out.
"""
