"""
The standard's health messages.

Written by ``idl/proto/generate``; nothing here MUST be edited by hand.
"""
