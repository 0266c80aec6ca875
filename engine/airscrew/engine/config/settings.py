"""
What an engine can be told, as data.

No secret is among it. Durations are seconds here; a file may write them as ``90s``, ``15m``, ``7d``.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

DAY = 86_400.0


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Deadlines in seconds for executions that do not set their own; 0 for none.

    Attributes:
        queued: From acceptance until it is dispatched.
        pending: From its start until it runs.
        attempt: Of one attempt.
        total: From acceptance to the end.
    """

    queued: float = 0.0
    pending: float = 0.0
    attempt: float = 0.0
    total: float = 0.0


class Retries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The budgets of failures.

    Attributes:
        system: How many attempts failures of kind SYSTEM may take beyond the first.
        check_failures: After how many failed checks in a row an execution is quarantined.
    """

    system: int = 3
    check_failures: int = 10


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    How long what is over is kept.

    Attributes:
        finished_age: Seconds after its end until an execution is pruned; 0 for ever.
        keep: How many of the newest are kept whatever their age.
    """

    finished_age: float = 7 * DAY
    keep: int = 0


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    How many attempts may be in an outside system at once, over all engines of the store.

    Attributes:
        limit: In units; a task takes one, unless its executor says otherwise. 0 lets nothing begin.
        executors: The ids of the executors whose tasks belong to it, whatever they say themselves.
        namespace: How many of them the tasks of one namespace may have; None for all.
        project: The same of one project.
        namespaces: For the namespaces named, instead of ``namespace``.
        projects: For the projects named, instead of ``project``.
    """

    limit: int
    executors: tuple[str, ...] = ()
    namespace: int | None = None
    project: int | None = None
    namespaces: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    projects: dict[str, int] = msgspec.field(default_factory=dict[str, int])


class Secrets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Where secrets are found; they are only ever referred to.

    Attributes:
        providers: ``env`` and ``file``, in the order in which they are asked.
        env_prefix: Of the variables: ``<prefix><GROUP>_<KEY>``.
        directory: Of the files: ``<directory>/<group>/<key>``.
    """

    providers: tuple[str, ...] = ("env", "file")
    env_prefix: str = "_FSEC_"
    directory: str = "/etc/secrets"


class Api(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    How the port that ``serve`` listens on is guarded. The files are read again when they change.

    Attributes:
        certificate: What is shown to clients, in PEM, with those that vouch for it; empty for plain text.
        key: The key of it.
        client_ca: Who vouches for clients: set, they must show a certificate too.
        allow_plaintext: Whether it may listen beyond this machine without TLS.
        allow_anonymous: Whether clients need no token.
        connector_types: Task types, ``type`` or ``type/version``, that the port offers to a FlytePropeller or a
            Flyte 2 as their connector service.
        connector_sync_types: Those that it offers as sync ones, of which a FlytePropeller's call waits for the end.
    """

    certificate: str = ""
    key: str = ""
    client_ca: str = ""
    allow_plaintext: bool = False
    allow_anonymous: bool = False
    connector_types: tuple[str, ...] = ()
    connector_sync_types: tuple[str, ...] = ()


class Health(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Where ``serve`` tells how it is.

    Attributes:
        address: ``HOST:PORT`` for probes and metrics over plain HTTP; empty for none.
    """

    address: str = ""


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    How ``serve`` writes its log to stderr.

    Attributes:
        format: ``text`` for people, ``json`` for machines: an object a line.
        level: From which level on: ``debug``, ``info``, ``warning`` or ``error``.
    """

    format: str = "text"
    level: str = "warning"


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    All that an engine is told.

    Attributes:
        home: The folder for state, logs and local outputs; its own, mode 0700.
        store: The store's URL; empty for ``sqlite:<home>/state.db``.
        data_prefix: Where outputs go; empty for ``<home>/data``.
        enabled_executors: The ids of the executors that are used; None for all that are installed.
        default_for_task_types: The executor's id for task types that several take.
        executors: Each executor's own part, by its id.
        quotas: How many tasks may be in an outside system at once, by the name of the pool.
        process_executor: Whether tasks may run as processes of this machine; None: for ``run`` yes, for ``serve`` no.
        timeouts: Deadlines.
        retries: Budgets.
        retention: How long what is over is kept.
        secrets: Where secrets are found.
        kill_deadline: Seconds after which a kill without confirmation makes an execution terminal with its entry open.
        workers: How many executions are worked on at once.
        drain_seconds: How long calls under way may take once the engine is told to stop.
        lease_seconds: How long engines that share a store wait for one that is not heard of.
        listen: ``HOST:PORT`` for ``serve``, beside the Unix socket; empty for the socket alone.
        token_file: Holds what clients on the port must show; empty for ``<home>/token``.
        api: How that port is guarded.
        health: Where ``serve`` tells how it is.
        log: How it writes its log.
    """

    home: str
    store: str = ""
    data_prefix: str = ""
    enabled_executors: tuple[str, ...] | None = None
    default_for_task_types: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    executors: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict[str, dict[str, Any]])
    quotas: dict[str, Quota] = msgspec.field(default_factory=dict[str, Quota])
    process_executor: bool | None = None
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    retention: Retention = Retention()
    secrets: Secrets = Secrets()
    kill_deadline: float = 900.0
    workers: int = 64
    drain_seconds: float = 30.0
    lease_seconds: float = 15.0
    listen: str = ""
    token_file: str = ""
    api: Api = Api()
    health: Health = Health()
    log: Log = Log()

    @property
    def home_path(self) -> Path:
        """The home as a path."""
        return Path(self.home)

    @property
    def store_url(self) -> str:
        """The store's URL."""
        return self.store or f"sqlite:{self.home_path / 'state.db'}"

    @property
    def store_file(self) -> Path:
        """The store's file; for a store without one, the file that stands for it: the socket lies beside it."""
        from airscrew.state.urls import store_path

        return store_path(self.store_url) or self.home_path / "state.db"

    @property
    def keeps_file(self) -> bool:
        """Whether the store is a file of this machine."""
        return self.store_url.startswith("sqlite:")

    @property
    def data_uri(self) -> str:
        """Where outputs go."""
        return self.data_prefix or (self.home_path / "data").as_uri()

    @property
    def token_path(self) -> Path:
        """The token file."""
        return Path(self.token_file) if self.token_file else self.home_path / "token"


class WorkKind(Enum):
    """Which executions an engine works on, beside those that are submitted to it and unfinished kills."""

    NAMED = "named"
    ALL = "all"


class WorkScope(msgspec.Struct, frozen=True):
    """
    Which executions an engine works on.

    Whatever the scope: what is submitted through this engine (by its own process or its socket) while it runs, and
    kills that were asked for and not finished.

    Attributes:
        kind: ``ALL`` for every unfinished execution of the store, ``NAMED`` for those named.
        executions: ``namespace/name`` of the ones named.
    """

    kind: WorkKind = WorkKind.NAMED
    executions: frozenset[str] = frozenset()

    @classmethod
    def everything(cls) -> WorkScope:
        """Work on all: ``serve`` and ``run --resume``."""
        return cls(WorkKind.ALL)

    @classmethod
    def only(cls, *executions: str) -> WorkScope:
        """Work on the ones named."""
        return cls(WorkKind.NAMED, frozenset(executions))
