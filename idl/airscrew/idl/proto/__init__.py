"""
Code generated from ``idl/proto``: messages and services in their wire form.

Written by ``idl/proto/generate``; nothing here MUST be edited by hand.
"""
