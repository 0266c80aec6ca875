"""
The key layout: which key holds what.

Every key of an execution carries its shard, two hexadecimal digits, right after the kind, so that the owner of a shard
ranges over and watches its own keys alone::

    meta/installation                      the installation's UID, random, written once
    meta/schema                            the layout's version
    meta/time                              the anchor of the engine's time
    template/<hash>                        a template: one byte for its wire form, then its bytes; shared, immutable
    template-epoch/<hash>                  written by each submission that refers to the template; see ``collector``
    spec/<ss>/<namespace>/<name>           Options: the immutable part of an execution; claims its name
    record/<ss>/<namespace>/<name>         Record: the mutable part; written by the shard's owner alone
    request/<ss>/<namespace>/<name>/<what> what others ask of the owner; deleted in the transaction of its effect
    child/<ss>/<namespace>/<name>/<item>   under the parent's name: the child's name
    ledger/<ss>/<attempt key>              an intent, and what became of it; open while something may lie outside
    quota-token/<pool>[/<share>]/<number>  a unit of a quota that is taken; see ``quotas`` of the engine
    quota-line/<ss>/<namespace>/<name>     who waits for units of a quota
    event/<life>/<sequence>                the outbox: phase events not yet taken by every sink
    cursor/<sink>                          how far a sink has taken them
    dead/<sink>/<life>/<sequence>          events that a sink refused
    cache/...                              the task cache
    members/live/<member>                  an engine among several, under its lease; see ``members``
    members/claim/<unit>                   who has a shard, or is the leader
    lock/engine                            which process is the only engine, under its lease; see ``lease_lock``
    lock/term                              who took that lock last, or came as a member
"""

from __future__ import annotations

from airscrew.idl.ids import SHARDS, AttemptKey, ExecutionId

INSTALLATION = "meta/installation"
SCHEMA = "meta/schema"
TIME = "meta/time"
LIFE = "meta/life"

SPECS = "spec/"
RECORDS = "record/"
REQUESTS = "request/"
LEDGER = "ledger/"
QUOTAS = "quota-"
QUOTA_TOKENS = "quota-token/"
QUOTA_LINE = "quota-line/"
EVENTS = "event/"
CURSORS = "cursor/"
DEAD_EVENTS = "dead/"
TEMPLATES = "template/"
MEMBERSHIP = "members/"
MEMBERS = "members/live/"
CLAIMS = "members/claim/"

LAYOUT_VERSION = 1


def shard_text(shard: int) -> str:
    """Write a shard as keys carry it."""
    if not 0 <= shard < SHARDS:
        raise ValueError(f"shard {shard} is not in 0..{SHARDS - 1}")
    return f"{shard:02x}"


def spec_key(execution: ExecutionId) -> str:
    """Where the immutable part of an execution is."""
    return f"spec/{execution.shard:02x}/{execution.namespace}/{execution.name}"


def record_key(execution: ExecutionId) -> str:
    """Where the mutable part of an execution is."""
    return f"record/{execution.shard:02x}/{execution.namespace}/{execution.name}"


def request_prefix(execution: ExecutionId) -> str:
    """Below which the requests to the owner of an execution are."""
    return f"request/{execution.shard:02x}/{execution.namespace}/{execution.name}/"


def request_key(execution: ExecutionId, what: str) -> str:
    """Where one request to the owner of an execution is: ``submit``, ``kill``, ``retry``, ``child-<item>``."""
    return request_prefix(execution) + what


def child_prefix(parent: ExecutionId) -> str:
    """Below which the names of a parent's children are."""
    return f"child/{parent.shard:02x}/{parent.namespace}/{parent.name}/"


def child_key(parent: ExecutionId, item: int) -> str:
    """Where the name of a parent's child is."""
    return f"{child_prefix(parent)}{item:08d}"


def ledger_key(execution: ExecutionId, key: AttemptKey) -> str:
    """Where the ledger entry of an attempt is."""
    return f"ledger/{execution.shard:02x}/{key}"


def ledger_prefix(shard: int) -> str:
    """Below which the ledger entries of a shard are."""
    return f"{LEDGER}{shard:02x}/"


def quota_token_key(token: str) -> str:
    """Where it is said who has a token of a quota."""
    return QUOTA_TOKENS + token


def quota_line_key(execution: ExecutionId) -> str:
    """Where it is said that an execution waits for units of a quota."""
    return f"{QUOTA_LINE}{execution.shard:02x}/{execution.namespace}/{execution.name}"


def requests_prefix(shard: int) -> str:
    """Below which the requests to the owner of a shard are."""
    return f"{REQUESTS}{shard:02x}/"


def shard_of(key: str) -> int:
    """Read the shard out of a key that carries one; -1 when there is none."""
    try:
        return int(key.split("/", 2)[1], 16)
    except (ValueError, IndexError):
        return -1


def template_key(content_hash: str) -> str:
    """Where a template is."""
    return TEMPLATES + content_hash


def template_epoch_key(content_hash: str) -> str:
    """What each submission that refers to a template writes."""
    return f"template-epoch/{content_hash}"


def event_key(life: int, sequence: int) -> str:
    """Where the events of one step are, in the order in which this life of the engine made them."""
    return f"event/{life:08x}/{sequence:012x}"


def cursor_key(sink: str) -> str:
    """Where a sink's cursor is."""
    return CURSORS + sink


def dead_event_key(sink: str, event: str) -> str:
    """Where an event lies that a sink refused."""
    return f"dead/{sink}/{event.removeprefix(EVENTS)}"


def member_key(member: str) -> str:
    """Where a member says that it is there."""
    return MEMBERS + member


def claim_key(unit: str) -> str:
    """Where it is said who has a unit."""
    return CLAIMS + unit


def membership_of(key: str) -> tuple[str, str]:
    """Read ``live`` or ``claim``, and whose, out of a ``members/`` key."""
    _, kind, name = key.split("/", 2)
    return kind, name


def execution_of(key: str) -> ExecutionId:
    """
    Read the execution's name out of a ``spec/``, ``record/``, ``request/`` or ``quota-line/`` key.

    Raises:
        ValueError: It is another kind of key.
    """
    kind, _shard, namespace, name, *_rest = key.split("/")
    if f"{kind}/" not in {SPECS, RECORDS, REQUESTS, QUOTA_LINE}:
        raise ValueError(f"key {key!r} names no execution")
    return ExecutionId(namespace, name)


def request_of(key: str) -> str:
    """Read what a ``request/`` key asks for."""
    return key.split("/", 4)[4]
