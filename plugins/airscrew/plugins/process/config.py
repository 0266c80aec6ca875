"""
The executor's configuration, ``executors.process``.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping

import msgspec

from airscrew.plugins.settings import read_settings

INHERITED = (
    "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_*", "TZ", "PATH", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
    "SSL_CERT_*", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY",
    "HTTPS_PROXY", "NO_PROXY", "CUDA_*", "NVIDIA_*", "AWS_*", "FLYTE_AWS_*", "GOOGLE_*", "AZURE_*",
    "FLYTE_AZURE_*", "STORAGE_EMULATOR_HOST",
)  # fmt: skip
"""What a task gets of the engine's own environment: its user, its language, its path, and access to storage."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The configuration.

    Attributes:
        slots: How many processes may run at once; null for one per core.
        grace: Seconds between the order to stop (SIGTERM) and its enforcement (SIGKILL).
        enforce_limits: Whether a container's memory limit becomes ``RLIMIT_AS``. That bounds addresses, not memory,
            and breaks libraries that reserve more than they use (numpy, CUDA, JITs).
        rlimits: Limits for every task by their names without ``RLIMIT_``, as ``nofile``; bytes, seconds or counts.
        environment: Variables for every task.
        inherit: Which of the engine's own variables a task gets, ``*`` for any characters.
        path: Folders that are searched for commands before all others.
        python_path: Folders that Python imports from before all others.
        log_limit_bytes: The bound of a task's log; the older half moves to ``task.log.1``, and what was there is
            dropped. Null for no bound.
        secret_directory: A file system in memory, where secrets that are wanted as files are put.
    """

    slots: int | None = None
    grace: float = 10.0
    enforce_limits: bool = False
    rlimits: dict[str, int] = msgspec.field(default_factory=lambda: {"core": 0})
    environment: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    inherit: tuple[str, ...] = INHERITED
    path: tuple[str, ...] = ()
    python_path: tuple[str, ...] = ()
    log_limit_bytes: int | None = None
    secret_directory: str = "/dev/shm"  # noqa: S105, S108 - memory; each attempt has a private folder there


def read_config(raw: Mapping[str, object]) -> Config:
    """
    Read and check the configuration.

    Raises:
        UsageError: One line that names what is wrong and where.
    """
    return read_settings("process", raw, Config, _problems)


def slots(config: Config) -> int:
    """Say how many processes may run at once."""
    return config.slots or max(1, len(os.sched_getaffinity(0)))


def _problems(config: Config) -> Iterator[str]:
    if config.slots is not None and config.slots < 1:
        yield f"slots: is {config.slots}: use 1 or more, or leave it out"
    if config.grace < 0:
        yield f"grace: is {config.grace:g}: use 0 or more seconds"
    if config.log_limit_bytes is not None and config.log_limit_bytes < 1:
        yield f"log_limit_bytes: is {config.log_limit_bytes}: use 1 or more, or leave it out"
    for name, value in config.rlimits.items():
        if not hasattr(resource, f"RLIMIT_{name.upper()}"):
            known = sorted(one[7:].lower() for one in dir(resource) if one.startswith("RLIMIT_"))
            yield f"rlimits: {name!r} is no limit of this system: use one of {', '.join(known)}"
        elif value < 0:
            yield f"rlimits.{name}: is {value}: use 0 or more"
