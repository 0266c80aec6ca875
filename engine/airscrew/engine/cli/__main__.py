"""``python -m airscrew.engine.cli``: the same as ``airscrew``."""

from airscrew.engine.cli import main

main()
