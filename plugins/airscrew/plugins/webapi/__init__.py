"""
The WebAPI framework: jobs of a provider that is reached by requests, for plugins that make the requests alone.

A plugin says how one job is made, read, stopped and found (``plugin``); the framework makes it once, reads thousands in
batches or as they are pushed (``jobs``), holds back what an outage or a rate forbids (``door``, ``breaker``,
``turns``), keeps secrets out of all that is stored or shown (``vault``), and stops until it is confirmed (``decide``).
``sync`` is for what is one call and nothing to come back to. Nothing here MUST know a particular provider or protocol.
"""

from __future__ import annotations

from airscrew.plugins.webapi.errors import (
    DeniedError,
    ProviderError,
    RefusedError,
    ThrottledError,
    UnclearError,
    UnreachableError,
)
from airscrew.plugins.webapi.executor import ProvidersExecutor, WebApiExecutor
from airscrew.plugins.webapi.plugin import Created, Limits, Listed, Opening, Prepared, Reports, WebApiPlugin
from airscrew.plugins.webapi.state import JobState
from airscrew.plugins.webapi.sync import SyncCall, SyncExecutor, SyncState
from airscrew.plugins.webapi.vault import SecretRef, Vault
from airscrew.plugins.webapi.verdicts import http_error

__all__ = [
    "Created",
    "DeniedError",
    "JobState",
    "Limits",
    "Listed",
    "Opening",
    "Prepared",
    "ProviderError",
    "ProvidersExecutor",
    "RefusedError",
    "Reports",
    "SecretRef",
    "SyncCall",
    "SyncExecutor",
    "SyncState",
    "ThrottledError",
    "UnclearError",
    "UnreachableError",
    "Vault",
    "WebApiExecutor",
    "WebApiPlugin",
    "http_error",
]
