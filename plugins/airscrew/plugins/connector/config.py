"""
The configuration of ``connector``: where connector services are, and what may be relied on.

Whatever is wrong with it is found when it is read, in one line that names the place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from airscrew.engine.executor import AtMostOnce, Idempotent, StartDeclaration
from airscrew.idl.wire import WireForm
from airscrew.plugins.connector.answers import Served
from airscrew.plugins.settings import read_settings


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the configuration; what it does not know is an error."""


class Tls(Part, frozen=True, kw_only=True):
    """
    Files of TLS, as paths; what is left out is what gRPC has of itself.

    Attributes:
        ca: Who vouches for the service.
        certificate: Ours, when the service asks for one.
        key: The key of it.
        server_name: The name in the service's certificate, when it is not the endpoint's.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    server_name: str = ""


class InProcess(Part, frozen=True, kw_only=True):
    """
    Connectors of an SDK in a process that we start.

    Attributes:
        sdk: ``flytekit`` or ``flyte``.
        modules: What is imported, so that it registers its connectors, besides the installed plugins.
        path: Folders that are looked through for them.
        python: The interpreter to run them, of an environment of their own, say; ours when empty. Nothing of us need
            be installed there.
        workers: How many calls of connectors that wait, and are no coroutines, run at once, each in a thread; 1 for
            connectors that are not safe for threads.
    """

    sdk: Literal["flytekit", "flyte"] = "flytekit"
    modules: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    python: str = ""
    workers: int = 16


class ConnectionPart(Part, frozen=True, kw_only=True):
    """
    What a connector of Flyte 2 is given by name in each call.

    Attributes:
        secrets: For each name the key of a secret, ``key`` or ``group/key``; values are never in the configuration.
        configs: For each name a plain value.
    """

    secrets: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    configs: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])


GONE = (
    r"(?i)\b404\b.{0,40}\bnot ?found\b|\bnot ?found\b.{0,10}\b404\b|\berror code: 404\b"
    r"|\bResourceNotFoundException\b|\b(job|run|batch|statement|query|execution)\b.{0,80}\b(does not|doesn't) exist\b"
    r"|\bInvalid job id specified\b"
)
"""
What the libraries of providers say of a job that is not there. A connector has no code of its own for it: its ``get``
raises, as it does when the provider is down, and only the words differ. A name that is not resolved is none of these.
"""


class Service(Part, frozen=True, kw_only=True):
    """
    One connector service.

    Attributes:
        endpoint: ``host:port`` or ``unix:/path``; empty with ``in_process``.
        in_process: Connectors that we start ourselves.
        protocol: ``flyte1`` (flytekit) or ``flyte2``; of ``in_process`` it follows from the SDK.
        insecure: Talk without TLS to another machine.
        tls: Files of TLS.
        token_file: A file whose content is sent as a bearer token; read again at each call.
        task_types: Task types, ``type`` or ``type/version``, that it is taken to serve while it cannot be asked.
        interval: Seconds between two looks at a job.
        timeout: Seconds that an answer may take.
        create_timeout: The same for a call that makes a job.
        sync_timeout: The same for a sync connector's whole work.
        calls_per_second: The most looks at jobs a second; None for no limit.
        max_message_bytes: An answer that is larger is an error.
        create_errors: ``unknown``: when a connector's create raises, a job may exist. ``failed``: certainly none.
        confirm_delete: Whether a deleted job counts as gone only when the connector says that it has ended.
        visibility: A job that its provider has not known for so many seconds is gone.
        gone: What a connector's error says when its provider does not know the job: a regular expression.
        connection: What a connector of Flyte 2 is given in each call.
    """

    endpoint: str = ""
    in_process: InProcess | None = None
    protocol: Literal["flyte1", "flyte2"] = "flyte1"
    insecure: bool = False
    tls: Tls | None = None
    token_file: str = ""
    task_types: tuple[str, ...] = ()
    interval: float = 10.0
    timeout: float = 10.0
    create_timeout: float = 45.0
    sync_timeout: float = 45.0
    calls_per_second: float | None = None
    max_message_bytes: int = 8 * 1024 * 1024
    create_errors: Literal["unknown", "failed"] = "unknown"
    confirm_delete: bool = True
    visibility: float = 60.0
    gone: str = GONE
    connection: ConnectionPart = ConnectionPart()

    @property
    def wire_form(self) -> WireForm:
        """The generation of messages that it speaks."""
        if self.in_process is not None:
            return WireForm.FLYTE2 if self.in_process.sdk == "flyte" else WireForm.FLYTE1
        return WireForm(self.protocol)

    @property
    def is_local(self) -> bool:
        """Whether what is said does not leave the machine by its address."""
        return self.endpoint.startswith("unix:")

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine by its name."""
        return self.endpoint.rpartition(":")[0] in {"localhost", "127.0.0.1", "[::1]"}

    def assumed(self) -> tuple[Served, ...]:
        """Return what it is taken to serve while it cannot be asked."""
        parted = (text.partition("/") for text in self.task_types)
        return tuple(Served(name, int(version or 0)) for name, _, version in parted)


class Start(Part, frozen=True, kw_only=True):
    """
    What all the services promise about a job that is asked for twice.

    Attributes:
        how: ``at_most_once``, or ``idempotent`` when each connector makes one job of one attempt's key.
        window: For how many seconds they keep the key.
    """

    how: Literal["at_most_once", "idempotent"] = "at_most_once"
    window: float | None = None


class Config(Part, frozen=True, kw_only=True):
    """
    The configuration of the executor.

    Attributes:
        services: By the name that people see.
        start: How an unknown start is resolved.
        discovery_interval: Seconds between two questions for what a service serves.
        cache_size: How many jobs are followed at once per service.
        concurrency: How many jobs may be live at once; None for no limit.
    """

    services: Mapping[str, Service] = msgspec.field(default_factory=dict[str, Service])
    start: Start = Start()
    discovery_interval: float = 30.0
    cache_size: int = 50_000
    concurrency: int | None = None


def read_config(raw: Mapping[str, object]) -> Config:
    """
    Read and check the configuration.

    Raises:
        UsageError: One line that names what is wrong and where.
    """
    return read_settings("connector", raw, Config, _problems)


def start_declaration(config: Config) -> StartDeclaration:
    """Say how an unknown start is resolved, for all services alike."""
    return Idempotent(window=config.start.window) if config.start.how == "idempotent" else AtMostOnce()


def _problems(config: Config) -> Iterator[str]:
    if config.discovery_interval <= 0:
        yield f"discovery_interval: is {config.discovery_interval}: use more than 0"
    if config.cache_size < 1:
        yield f"cache_size: is {config.cache_size}: use 1 or more"
    for name, service in config.services.items():
        for problem in _service_problems(service):
            yield f"services.{name}.{problem}"


def _service_problems(service: Service) -> Iterator[str]:
    if bool(service.endpoint) == (service.in_process is not None):
        yield "endpoint: give either endpoint or in_process"
    if service.in_process is not None and service.in_process.workers < 1:
        yield f"in_process.workers: is {service.in_process.workers}: use 1 or more"
    if service.insecure and (service.tls is not None or service.in_process is not None):
        yield "insecure: means nothing beside tls or in_process: leave it out"
    if service.insecure and service.token_file and not service.is_loopback:
        yield "token_file: would be sent in the clear: leave out insecure"
    if service.tls is not None and bool(service.tls.certificate) != bool(service.tls.key):
        yield "tls: certificate and key belong together"
    try:
        re.compile(service.gone)
    except re.error as error:
        yield f"gone: is no regular expression: {error}"
    for name in ("interval", "timeout", "create_timeout", "sync_timeout", "max_message_bytes", "visibility"):
        if getattr(service, name) <= 0:
            yield f"{name}: is {getattr(service, name)}: use more than 0"
    for text in service.task_types:
        name, slash, version = text.partition("/")
        if not name or (slash and not version.isdecimal()):
            yield f"task_types: {text!r} is none: write type or type/version"
