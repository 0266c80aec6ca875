"""
The testing kit: what plugin writers and airscrew's own tests run executors and engines with.

It ships with the engine. Nothing of the engine outside this package may import it, nothing here may be needed
in production, and it MUST NOT need a test framework: it raises plain errors, and pytest stays the caller's
choice, but for the one module that is named after it (``cluster.pytest_plugin``). Import what you need from its
modules (``airscrew.engine.testing.virtual_time``); this file imports none of them, so that one module costs only
itself.
"""
