"""
The commands, a module each or one for a few that belong together.

A command reads its options, reaches an engine by ``session``, and prints. Nothing here MUST be imported by ``root``
before the command is used.
"""
