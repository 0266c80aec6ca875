from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from airscrew.engine.clock import LoopClock
from airscrew.engine.testing.job_service import FakeJobService, FakeReply, Fault
from airscrew.engine.testing.virtual_time import elapse

pytestmark = pytest.mark.virtual_time


@pytest.fixture
def service() -> FakeJobService:
    return FakeJobService(clock=LoopClock())


async def send(
    service: FakeJobService, method: str, path: str, body: object = None, *, key: str = "", token: str = ""
) -> FakeReply:
    headers = {"Idempotency-Key": key} if key else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    raw = None if body is None else json.dumps(body).encode()
    return await service.request(method, f"http://jobs.test{path}", headers=headers, body=raw, timeout=10)


async def create(service: FakeJobService, key: str = "k", **body: Any) -> Any:
    return json.loads((await send(service, "POST", "/jobs", body, key=key)).body)


async def read(service: FakeJobService, job_id: str = "job-1") -> Any:
    return json.loads((await send(service, "GET", f"/jobs/{job_id}")).body)


async def test_a_job_is_queued_runs_and_succeeds_with_its_result(service: FakeJobService) -> None:
    seen = [await create(service, seconds=10, result={"a": 1})]
    for seconds in (2, 10):
        await elapse(seconds)
        seen.append(await read(service))

    assert [job["status"] for job in seen] == ["queued", "running", "succeeded"]
    assert seen[-1]["result"] == {"a": 1}


async def test_a_job_can_fail_and_says_why(service: FakeJobService) -> None:
    await create(service, seconds=1, fail="no")
    await elapse(5)

    job = await read(service)

    assert (job["status"], job["message"]) == ("failed", "no")


async def test_the_same_key_makes_one_job(service: FakeJobService) -> None:
    first, second = await create(service), await create(service)

    assert first["id"] == second["id"]
    assert service.created["k"] == 1


async def test_without_idempotency_each_create_makes_a_job(service: FakeJobService) -> None:
    service.idempotent = False

    await create(service)
    await create(service)

    assert len(service.jobs_of("k")) == 2


async def test_a_key_is_forgotten_after_its_window(service: FakeJobService) -> None:
    service.key_window = 60

    await create(service)
    await elapse(61)
    await create(service)

    assert service.created["k"] == 2


async def test_jobs_are_listed_by_id_and_by_key(service: FakeJobService) -> None:
    for key in "abc":
        await create(service, key)

    by_id = json.loads((await send(service, "GET", "/jobs?ids=job-1,job-3,job-9")).body)
    by_key = json.loads((await send(service, "GET", "/jobs?key=b")).body)

    assert [job["key"] for job in by_id["jobs"]] == ["a", "c"]
    assert [job["id"] for job in by_key["jobs"]] == ["job-2"]


async def test_a_cancelled_job_stays_visible_and_is_not_live(service: FakeJobService) -> None:
    await create(service, seconds=None)

    await send(service, "DELETE", "/jobs/job-1")

    assert (await read(service))["status"] == "cancelled"
    assert service.live("k") == 0


async def test_a_forgotten_job_is_as_if_it_never_was(service: FakeJobService) -> None:
    await create(service)

    assert service.forget("k") == 1
    assert (await send(service, "GET", "/jobs/job-1")).status == 404


@pytest.mark.parametrize(
    ("fault", "error", "made"),
    [
        (Fault.REFUSED, ConnectionRefusedError, 0),
        (Fault.LOST_REQUEST, ConnectionResetError, 0),
        (Fault.LOST_REPLY, ConnectionResetError, 1),
        (Fault.LATE, TimeoutError, 0),
        (Fault.SLOW, TimeoutError, 0),
    ],
)
async def test_a_fault_breaks_the_connection_and_the_log_knows_what_was_made(
    service: FakeJobService, fault: Fault, error: type[Exception], made: int
) -> None:
    service.slow_seconds = 60
    service.inject(fault)

    with pytest.raises(error):
        await create(service)

    assert service.created["k"] == made


@pytest.mark.parametrize(
    ("fault", "status", "made"),
    [
        (Fault.BUSY, 503, 0),
        (Fault.TOO_MANY, 429, 0),
        (Fault.ERROR, 500, 0),
        (Fault.GARBAGE, 200, 1),
        (Fault.TWICE, 200, 1),
    ],
)
async def test_a_fault_answers_and_the_log_knows_what_was_made(
    service: FakeJobService, fault: Fault, status: int, made: int
) -> None:
    service.inject(fault)

    reply = await send(service, "POST", "/jobs", {}, key="k")

    assert reply.status == status
    assert service.created["k"] == made
    assert service.log[0].fault is fault


async def test_a_late_request_arrives_after_its_caller_gave_up(service: FakeJobService) -> None:
    service.inject(Fault.LATE)
    with pytest.raises(TimeoutError):
        await create(service)

    await elapse(service.late_seconds - 1)
    before = service.live("k")
    await elapse(2)

    assert (before, service.live("k")) == (0, 1)


async def test_a_slow_answer_comes_when_the_caller_waits_long_enough(service: FakeJobService) -> None:
    service.inject(Fault.SLOW)
    begin = asyncio.get_running_loop().time()

    await create(service)

    assert asyncio.get_running_loop().time() - begin == pytest.approx(service.slow_seconds)


async def test_a_hidden_job_is_seen_later(service: FakeJobService) -> None:
    service.inject(Fault.HIDDEN)
    await create(service)

    before = (await send(service, "GET", "/jobs/job-1")).status
    await elapse(service.hidden_seconds)

    assert (before, (await send(service, "GET", "/jobs/job-1")).status) == (404, 200)


async def test_a_fault_waits_for_its_method_and_heals(service: FakeJobService) -> None:
    service.inject(Fault.ERROR, times=2, methods={"GET"})

    assert (await create(service))["id"] == "job-1"
    assert (await send(service, "GET", "/jobs/job-1")).status == 500
    service.heal()
    assert (await send(service, "GET", "/jobs/job-1")).status == 200


async def test_a_wrong_token_is_refused(service: FakeJobService) -> None:
    service.token = "right"

    assert (await send(service, "GET", "/jobs", token="wrong")).status == 401
    assert (await send(service, "GET", "/jobs", token="right")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [("POST", "/jobs", [1], 400), ("GET", "/nothing", None, 404), ("PATCH", "/jobs/job-1", None, 404)],
)
async def test_what_it_does_not_know_it_refuses(
    service: FakeJobService, method: str, path: str, body: object, status: int
) -> None:
    assert (await send(service, method, path, body)).status == status
