"""
The data plane: where inputs, outputs and secrets lie, how they are named, read and written.

Here are files at URIs (``storage``), the plan of what lies where (``locations``), template variables (``render``), the
environment of a task's processes (``environment``), what an attempt left behind (``outputs``), secrets by reference
(``secrets``), the task cache (``catalog``), what an executor's context reaches (``access``) and the plan of children
in a ``futures.pb`` (``futures``). Pure decisions are apart from reading and writing.

Nothing here MUST know the controller, the state machine or a plugin; nothing may write a secret's value anywhere; and
nothing may import obstore, protobuf or flyteidl before it is called: the command line starts without them.
"""
