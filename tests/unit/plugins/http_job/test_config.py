from __future__ import annotations

from typing import Any

import pytest

from airscrew.engine.executor import AtMostOnce, Findable, Idempotent
from airscrew.idl.errors import UsageError
from airscrew.plugins.http_job.config import read_config, start_declaration

SERVICE: dict[str, Any] = {
    "url": "https://jobs.example.com/v1",
    "create": {"path": "/jobs", "key_header": "Idempotency-Key"},
    "get": {"path": "/jobs/{id}"},
    "delete": {"path": "/jobs/{id}"},
    "phases": {"done": "Success", "broken": "PermanentFailure"},
}
UNKEYED = {"create": {"path": "/jobs"}}
FIND = {"find": {"path": "/jobs?key={key}"}}


def config(*services: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = {f"s{number}": {**SERVICE, **service} for number, service in enumerate(services or ({},))}
    return {"services": named, **more}


def test_a_service_with_a_key_header_is_idempotent_for_a_day() -> None:
    assert start_declaration(read_config(config())) == Idempotent(window=86_400)


def test_a_service_that_takes_the_key_as_the_id_is_idempotent_too() -> None:
    put = {"create": {"path": "/jobs/{key}", "method": "PUT", "id": "{key}"}}

    assert start_declaration(read_config(config(put))) == Idempotent(window=86_400)


def test_a_service_without_keys_is_findable_when_it_lists_by_key() -> None:
    assert start_declaration(read_config(config({**UNKEYED, **FIND}))) == Findable(settle=60)


def test_a_service_with_neither_is_asked_at_most_once() -> None:
    assert start_declaration(read_config(config(UNKEYED))) == AtMostOnce()


def test_services_that_can_do_different_things_are_all_asked_at_most_once() -> None:
    assert start_declaration(read_config(config({}, {**UNKEYED, **FIND}))) == AtMostOnce()


@pytest.mark.parametrize(
    ("start", "declared"),
    [
        ({"how": "idempotent", "window": None}, Idempotent(window=None)),
        ({"how": "idempotent", "window": 60}, Idempotent(window=60)),
        ({"how": "findable", "settle": 5}, Findable(settle=5)),
        ({"how": "at_most_once"}, AtMostOnce()),
    ],
)
def test_what_the_configuration_says_of_starts_is_declared(start: dict[str, Any], declared: object) -> None:
    assert start_declaration(read_config(config(FIND, start=start))) == declared


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"url": "jobs.example.com"}, "s0.url: is 'jobs.example.com'"),
        ({"url": "https://x/?a=b"}, "s0.url"),
        ({"create": {"path": "jobs"}}, "s0.create.path: is 'jobs': begin with '/'"),
        ({"create": {"path": "/jobs/{id}"}}, "s0.create.path: does not know {id}: only {key}"),
        ({"create": {"path": "/jobs", "method": "PUT"}}, "s0.create.method: is 'PUT'"),
        ({"create": {"path": "/jobs", "method": "GET"}}, "s0.create.method: is 'GET'"),
        ({"get": {"path": "/jobs"}}, "s0.get.path: lacks {id}"),
        ({"get": None}, "s0.get: is missing"),
        ({"get_many": {"path": "/jobs?x={ids}", "batch": 0}}, "s0.get_many.batch: is 0"),
        ({"get_many": {"path": "/jobs", "items": "$.[x"}}, "s0.get_many.items"),
        ({"status": ""}, "s0.status: is empty"),
        ({"status": "$.a..b"}, "s0.status: '$.a..b' is no JSON path"),
        ({"phases": {"done": "Finished"}}, "s0.phases.done: is 'Finished'"),
        ({"phases": {"done": "Aborted"}}, "s0.phases.done: is 'Aborted'"),
        ({"phases": {"done": "Running"}}, "s0.phases: no status is Success"),
        ({"system_failures": ["lost"]}, "s0.system_failures: 'lost' is not in phases"),
        ({"interval": 0}, "s0.interval: is 0"),
        ({"auth": {"secret": ""}}, "s0.auth.secret"),
        ({"auth": {"token": "abc"}}, "token"),
        ({"tiemout": 5}, "tiemout"),
        ({"create": None}, "create"),
    ],
)
def test_a_wrong_service_is_one_line_that_names_the_place(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        read_config(config(changed))

    assert said in str(error.value)
    assert str(error.value).startswith("executors.http_job")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"services": {}}, "services: is empty"),
        ({}, "services"),
        ({**config(), "concurrency": 0}, "concurrency: is 0"),
        ({**config(), "cache_size": 0}, "cache_size: is 0"),
        ({**config(), "start": {"how": "often"}}, "start.how: is 'often'"),
        ({**config(UNKEYED), "start": {"how": "idempotent"}}, "services.s0.create has no key_header"),
        ({**config(), "start": {"how": "findable"}}, "services.s0 has no find"),
    ],
)
def test_a_wrong_whole_is_one_line_that_names_the_place(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        read_config(changed)

    assert said in str(error.value)
