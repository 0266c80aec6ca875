"""
The configuration of ``http_job``: services of any kind, told in data alone.

Whatever is wrong with it is found when it is read, in one line that names the place. The endpoints, paths and phases
are checked here so that no later call has to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import msgspec

from airscrew.engine.executor import AtMostOnce, Findable, Idempotent, StartDeclaration
from airscrew.idl.phase import Phase
from airscrew.plugins.http_job.paths import JsonPath, parse_path
from airscrew.plugins.settings import read_settings

DEFAULT_TYPE = "http_job"
"""The task type of tasks that name their service in ``custom.service``."""

DEFAULT_WINDOW = 86_400.0
"""For how long a service is taken to keep an idempotency key when its configuration does not say: one day."""

KEY_ID = "{key}"
"""As ``create.id``: the service takes the attempt's key as the job's id."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_REPORTED = frozenset(
    {
        Phase.WAITING_FOR_RESOURCES,
        Phase.QUEUED,
        Phase.INITIALIZING,
        Phase.RUNNING,
        Phase.SUCCESS,
        Phase.RETRYABLE_FAILURE,
        Phase.PERMANENT_FAILURE,
    }
)


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the configuration; what it does not know is an error."""


class Auth(Part, frozen=True, kw_only=True):
    """
    The header that proves who asks.

    Attributes:
        secret: The secret's key; its value is never in the configuration.
        group: The secret's group.
        header: The header that carries it.
        scheme: Stands before the value; empty for none.
    """

    secret: str
    group: str = ""
    header: str = "Authorization"
    scheme: str = "Bearer"


class Create(Part, frozen=True, kw_only=True):
    """
    How a job is made.

    Attributes:
        path: Below the service's URL; ``{key}`` is the attempt's key.
        method: The HTTP method.
        body: Any JSON; strings in it may hold ``{{.inputs.x}}``, ``{{.custom.x}}``, ``{{.key}}``.
        key_header: The header that carries the idempotency key; empty when the service has none.
        id: Where the answer holds the job's id, or ``{key}``.
        exists: Statuses that mean "the key has made this job already"; the answer holds its id.
    """

    path: str
    method: str = "POST"
    body: object = None
    key_header: str = ""
    id: str = "$.id"
    exists: tuple[int, ...] = ()


class Endpoint(Part, frozen=True, kw_only=True):
    """An endpoint for one job; ``{id}`` in its path is the job's id."""

    path: str
    method: str = "GET"


class Delete(Part, frozen=True, kw_only=True):
    """How a job is stopped; ``{id}`` in its path is the job's id."""

    path: str
    method: str = "DELETE"


class Listing(Part, frozen=True, kw_only=True):
    """
    An endpoint that answers with many jobs.

    Attributes:
        path: ``{ids}`` are ids with commas between them, ``{key}`` is an attempt's key.
        items: Where the answer holds the list.
        id: Where an item holds its id.
        created_at: Where an item holds when it was made, Unix seconds; empty when it does not say.
        batch: How many jobs are asked for at once.
    """

    path: str
    method: str = "GET"
    items: str = "$"
    id: str = "$.id"
    created_at: str = ""
    batch: int = 50


class Start(Part, frozen=True, kw_only=True):
    """
    How an unknown start is resolved.

    Attributes:
        how: ``idempotent``, ``findable`` or ``at_most_once``.
        window: For ``idempotent``: seconds for which the service keeps a key; null for ever.
        settle: For ``findable``: seconds after which what was made is listed for certain.
    """

    how: str
    window: float | None = DEFAULT_WINDOW
    settle: float = 60.0


class Service(Part, frozen=True, kw_only=True):
    """
    One HTTP service.

    Attributes:
        url: Its base address; paths of endpoints are put behind it.
        create: How a job is made.
        phases: Which of our phases each of its statuses is.
        get: How one job is read.
        get_many: How many jobs are read at once; used when present.
        delete: How a job is stopped; without it, a kill waits until the job ends by itself.
        find: How jobs are listed by the attempt's key.
        auth: The header that proves who asks.
        headers: Sent with each request; never a secret.
        status: Where a job holds its status.
        message: Where it holds a line for people; empty for nowhere, as below.
        code: Where a failed job holds a short stable word.
        progress: Where it holds how much is done.
        progress_max: What ``progress`` is when all is done.
        outputs: Where it holds its outputs.
        log: Where it holds the address of its log.
        system_failures: Statuses that are failures of the service rather than of the task.
        interval: Seconds between two reads of a job.
        timeout: Seconds for one request.
        settle: A job may stay invisible for so many seconds after it was made.
        reads_per_second: The most requests that read, in the long run; null for no limit.
        writes_per_second: The most requests that make or stop a job; null for no limit.
    """

    url: str
    create: Create
    phases: dict[str, str]
    get: Endpoint | None = None
    get_many: Listing | None = None
    delete: Delete | None = None
    find: Listing | None = None
    auth: Auth | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    status: str = "$.status"
    message: str = ""
    code: str = ""
    progress: str = ""
    progress_max: float = 1.0
    outputs: str = ""
    log: str = ""
    system_failures: tuple[str, ...] = ()
    interval: float = 5.0
    timeout: float = 30.0
    settle: float = 10.0
    reads_per_second: float | None = None
    writes_per_second: float | None = None


class Config(Part, frozen=True, kw_only=True):
    """
    All of it: ``executors.http_job``.

    Attributes:
        services: By task type; ``http_job`` tasks may also name one in ``custom.service``.
        start: How unknown starts are resolved; by default what all services can do, ``idempotent`` before ``findable``.
        concurrency: How many jobs may be live at once from one process; null for no limit.
        cache_size: How many jobs are kept in memory.
    """

    services: dict[str, Service]
    start: Start | None = None
    concurrency: int | None = None
    cache_size: int = 10_000


def read_config(raw: Mapping[str, object]) -> Config:
    """
    Read and check the configuration.

    Raises:
        UsageError: One line that names what is wrong and where.
    """
    return read_settings("http_job", raw, Config, _problems)


def start_declaration(config: Config) -> StartDeclaration:
    """Say how an unknown start is resolved, for all services alike."""
    start = config.start or _default_start(config)
    match start.how:
        case "idempotent":
            return Idempotent(window=start.window)
        case "findable":
            return Findable(settle=start.settle)
        case _:
            return AtMostOnce()


def service_phases(service: Service) -> dict[str, Phase]:
    """Return the phase of each status, statuses in lower case."""
    return {status.lower(): Phase.from_title(title) for status, title in service.phases.items()}


def _default_start(config: Config) -> Start:
    if all(_is_keyed(service) for service in config.services.values()):
        return Start(how="idempotent")
    if all(service.find for service in config.services.values()):
        return Start(how="findable")
    return Start(how="at_most_once")


def _is_keyed(service: Service) -> bool:
    return bool(service.create.key_header) or service.create.id == KEY_ID


def _problems(config: Config) -> Iterator[str]:
    if not config.services:
        yield "services: is empty: name at least one service"
    if config.concurrency is not None and config.concurrency < 1:
        yield f"concurrency: is {config.concurrency}: use 1 or more, or leave it out"
    if config.cache_size < 1:
        yield f"cache_size: is {config.cache_size}: use 1 or more"
    for name, service in config.services.items():
        for problem in _service_problems(service):
            yield f"services.{name}.{problem}"
        yield from _start_problems(name, service, config.start)


def _start_problems(name: str, service: Service, start: Start | None) -> Iterator[str]:
    if start is None:
        return
    if start.how not in {"idempotent", "findable", "at_most_once"}:
        yield f"start.how: is {start.how!r}: use idempotent, findable or at_most_once"
    if start.how == "idempotent" and not _is_keyed(service):
        yield f"start.how: is idempotent, but services.{name}.create has no key_header (nor {KEY_ID!r} as id)"
    if start.how == "findable" and service.find is None:
        yield f"start.how: is findable, but services.{name} has no find"


def _service_problems(service: Service) -> Iterator[str]:
    parts = urlsplit(service.url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query:
        yield f"url: is {service.url!r}: use an address like https://jobs.example.com/v1"
    if service.get is None and service.get_many is None:
        yield "get: is missing: jobs are read by get or get_many"
    if service.auth and not service.auth.secret:
        yield "auth.secret: is empty: name the secret"
    for name in ("interval", "timeout", "progress_max"):
        if getattr(service, name) <= 0:
            yield f"{name}: is {getattr(service, name)}: use more than 0"
    for name in ("reads_per_second", "writes_per_second"):
        rate: float | None = getattr(service, name)
        if rate is not None and rate <= 0:
            yield f"{name}: is {rate}: use more than 0, or leave it out"
    yield from _create_problems(service.create)
    yield from _phase_problems(service)
    yield from _endpoint_problems(service)
    yield from _json_path_problems(service)


def _create_problems(create: Create) -> Iterator[str]:
    # Libraries may send a PUT twice, which is only the same as once when the path names what is made.
    if create.method != "POST" and not (create.method == "PUT" and "{key}" in create.path):
        yield f"create.method: is {create.method!r}: use POST, or PUT with {{key}} in the path"


def _phase_problems(service: Service) -> Iterator[str]:
    for status, title in service.phases.items():
        try:
            phase = Phase.from_title(title)
        except ValueError:
            phase = Phase.UNDEFINED
        if phase not in _REPORTED:
            yield f"phases.{status}: is {title!r}: use one of {', '.join(sorted(p.title for p in _REPORTED))}"
    titles = {title.replace("_", "").lower() for title in service.phases.values()}
    if "success" not in titles:
        yield "phases: no status is Success: a job could never end well"
    known = {status.lower() for status in service.phases}
    for status in service.system_failures:
        if status.lower() not in known:
            yield f"system_failures: {status!r} is not in phases"


def _endpoint_problems(service: Service) -> Iterator[str]:
    allowed = {
        "create": (service.create, {"key"}, set[str]()),
        "get": (service.get, {"id"}, {"id"}),
        "get_many": (service.get_many, {"ids"}, set[str]()),
        "delete": (service.delete, {"id"}, {"id"}),
        "find": (service.find, {"key"}, {"key"}),
    }
    for name, (endpoint, may, must) in allowed.items():
        if endpoint is None:
            continue
        found = set(_PLACEHOLDER.findall(endpoint.path))
        if not endpoint.path.startswith("/"):
            yield f"{name}.path: is {endpoint.path!r}: begin with '/'"
        elif found - may:
            yield f"{name}.path: does not know {{{min(found - may)}}}: only {{{min(may)}}} can stand there"
        elif must - found:
            yield f"{name}.path: lacks {{{min(must)}}}: it would ask for the same job always"
        if isinstance(endpoint, Listing) and endpoint.batch < 1:
            yield f"{name}.batch: is {endpoint.batch}: use 1 or more"


def _json_path_problems(service: Service) -> Iterator[str]:
    places = {name: getattr(service, name) for name in ("status", "message", "code", "progress", "outputs", "log")}
    places["create.id"] = "" if service.create.id == KEY_ID else service.create.id
    for name, listing in (("get_many", service.get_many), ("find", service.find)):
        if listing:
            places |= {
                f"{name}.items": listing.items,
                f"{name}.id": listing.id,
                f"{name}.created_at": listing.created_at,
            }
    for name, text in places.items():
        if text:
            try:
                parse_path(text)
            except ValueError as error:
                yield f"{name}: {error}"
    if not service.status:
        yield "status: is empty: say where a job holds its status, as $.status"


__all__ = [
    "DEFAULT_TYPE",
    "KEY_ID",
    "Auth",
    "Config",
    "Create",
    "Delete",
    "Endpoint",
    "JsonPath",
    "Listing",
    "Service",
    "Start",
    "read_config",
    "service_phases",
    "start_declaration",
]
