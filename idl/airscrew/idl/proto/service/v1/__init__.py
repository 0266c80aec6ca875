"""
The engine's service.

Written by ``idl/proto/generate``; nothing here MUST be edited by hand.
"""
