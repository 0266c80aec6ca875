"""
The nouns of the engine: ids, phases, errors, templates, literals and their wire forms.

Everything here is frozen data and pure functions over it. Nothing here MUST do
I/O, read a clock, draw a random number, or import from another part of airscrew.
"""
