"""
What ``template.custom`` holds for plugins of our own.

Written by ``idl/proto/generate``; nothing here MUST be edited by hand.
"""
