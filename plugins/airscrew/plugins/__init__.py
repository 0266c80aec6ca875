"""
The executors that come with airscrew, and the frameworks that they are built on.

Each module or package is one executor or one framework; executors are found by the entry-point group
``airscrew.executors``. They may use what the engine offers to plugin writers (``engine.executor``, ``engine.cache``,
``engine.errors``, ``engine.clock``, ``engine.testing`` in tests) and MUST NOT reach into the rest of the engine or the
store. What needs an extra dependency imports it when it is initialised, and says how to install it.
"""
