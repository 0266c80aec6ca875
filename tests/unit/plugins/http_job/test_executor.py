from __future__ import annotations

import sys

import msgspec
import pytest
from tests.support.literal_maps import literals, plain
from tests.unit.plugins.http_job.http_job_kit import ENDLESS, SERVICE, open_bench

from airscrew.engine.errors import ExecutorError, PermanentError
from airscrew.engine.executor import AtMostOnce, Gone, Idempotent, NotStarted, StillThere
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.job_service import Fault
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.errors import UsageError
from airscrew.idl.phase import Phase
from airscrew.idl.template import make_template
from airscrew.plugins.http_job import HttpJobExecutor

pytestmark = pytest.mark.virtual_time


async def test_a_job_runs_to_its_end_and_its_result_is_the_output() -> None:
    async with open_bench() as bench:
        attempt = bench.job(outputs={"words": int}, custom={"result": {"words": 3}})

        status = await attempt.run()

    assert plain(status.outputs) == {"words": 3}
    assert attempt.phases == [Phase.QUEUED, Phase.RUNNING, Phase.SUCCESS]


async def test_the_jobs_of_each_service_are_told_of_in_metrics() -> None:
    async with open_bench(interval=10.0) as bench:
        await bench.job(seconds=600.0).start()
        await elapse(25.0)

        (cache,) = bench.environment.executor.caches()
        told = cache.statistics()

    assert cache.name == "http_job/http_job"
    assert (told.size, told.failed_calls) == (1, 0)
    assert 0.0 <= told.max_age_seconds <= 11.0


async def test_an_end_is_noticed_within_a_period_of_the_service() -> None:
    async with open_bench(interval=1.0) as bench:
        begin = bench.environment.clock.monotonic()

        await bench.job(seconds=600.0).run()

        assert bench.environment.clock.monotonic() - begin == pytest.approx(601, abs=1.5)


async def test_the_attempts_key_goes_with_the_create() -> None:
    async with open_bench() as bench:
        attempt = bench.job()

        await attempt.start()

        assert [(event.method, event.path, event.key) for event in bench.service.log] == [
            ("POST", "/base/jobs", attempt.key)
        ]


async def test_many_jobs_are_read_by_few_requests() -> None:
    async with open_bench(interval=10.0) as bench:
        attempts = [bench.job(seconds=10_000.0, name=f"t{number}") for number in range(20)]
        for attempt in attempts:
            await attempt.start()
        before = bench.service.requests()

        await elapse(100)

    assert bench.service.requests() - before <= 2 * 11
    assert {path.split("=")[0] for method, path in bench.requests() if method == "GET"} == {"/base/jobs?ids"}


async def test_a_service_that_lists_nothing_is_read_job_by_job() -> None:
    async with open_bench(get_many=None) as bench:
        status = await bench.job().run()

    assert status.phase is Phase.SUCCESS
    assert ("GET", "/base/jobs/job-1") in bench.requests()


async def test_a_service_that_only_lists_is_enough() -> None:
    async with open_bench(get=None) as bench:
        attempt = bench.job(seconds=ENDLESS)
        await attempt.run(until=Phase.RUNNING)

        await attempt.kill_until_gone()

    assert bench.service.live() == 0


async def test_a_check_makes_no_request() -> None:
    async with open_bench() as bench:
        attempt = bench.job()
        await attempt.start()
        before = bench.service.requests()

        await attempt.check()

        assert bench.service.requests() == before


async def test_the_state_is_legible_and_has_no_secret() -> None:
    async with open_bench(secrets={"token": "s3cr3t"}, auth={"secret": "token"}) as bench:
        attempt = bench.job(outputs={"o0": int}, custom={"result": 3})

        await attempt.run()

    assert msgspec.json.decode(attempt.raw_state or b"") == {
        "service": "http_job",
        "id": "job-1",
        "created_at": 1_700_000_000.0,
        "status": "succeeded",
        "outputs": {"o0": {"simple": "INTEGER"}},
    }


async def test_a_secret_that_is_not_there_stops_the_start_before_any_request() -> None:
    async with open_bench(auth={"secret": "token"}) as bench:
        with pytest.raises(PermanentError, match="token"):
            await bench.job().start()

        assert bench.service.requests() == 0


async def test_a_secret_that_a_service_repeats_is_not_quoted() -> None:
    async with open_bench(secrets={"token": "s3cr3t"}, auth={"secret": "token", "scheme": "Wrong"}) as bench:
        bench.service.token = "s3cr3t"
        bench.service.jobs_of("")

        with pytest.raises(PermanentError) as refusal:
            await bench.job().start()

    assert refusal.value.code == "AccessDenied"
    assert "s3cr3t" not in str(refusal.value)


async def test_a_rotated_secret_is_read_again() -> None:
    async with open_bench(secrets={"token": "old"}, auth={"secret": "token"}) as bench:
        attempt = bench.job(seconds=100.0)
        await attempt.run(until=Phase.RUNNING)

        bench.service.token = "new"
        attempt.data.secrets = {"token": "new"}
        status = await attempt.run()

    assert status.phase is Phase.SUCCESS


@pytest.mark.parametrize(("fault", "delay"), [(Fault.REFUSED, None), (Fault.TOO_MANY, 7.0), (Fault.BUSY, 7.0)])
async def test_a_service_that_takes_nothing_now_is_asked_later(fault: Fault, delay: float | None) -> None:
    async with open_bench() as bench:
        bench.service.inject(fault)

        answer = await bench.job().start()

    assert isinstance(answer, NotStarted)
    assert answer.delay == delay
    assert answer.reason.startswith("http_job: ")


async def test_a_create_is_never_sent_twice_by_itself() -> None:
    async with open_bench() as bench:
        bench.service.inject(Fault.LOST_REPLY)

        with pytest.raises(ConnectionResetError):
            await bench.job().start()

        assert bench.service.requests("POST") == 1


async def test_a_job_that_vanishes_fails_for_the_systems_account() -> None:
    async with open_bench() as bench:
        attempt = bench.job(seconds=ENDLESS)
        await attempt.run(until=Phase.RUNNING)
        await attempt.pause(60)

        bench.service.forget(attempt.key)
        status = await attempt.run()

    assert status.error is not None
    assert (status.error.code, status.error.kind.value) == ("ResourceDeletedExternally", "SYSTEM")


async def test_a_job_that_is_not_visible_yet_is_not_gone() -> None:
    async with open_bench(interval=1.0, settle=10.0) as bench:
        bench.service.hidden_seconds = 9.0
        bench.service.inject(Fault.HIDDEN, methods={"POST"})

        status = await bench.job(seconds=30.0).run()

    assert status.phase is Phase.SUCCESS


async def test_a_kill_of_a_job_that_is_not_visible_yet_waits_for_it() -> None:
    async with open_bench(settle=10.0) as bench:
        bench.service.hidden_seconds = 5.0
        bench.service.inject(Fault.HIDDEN, methods={"POST"})
        attempt = bench.job(seconds=ENDLESS)
        await attempt.start()

        await attempt.kill_until_gone()

        assert bench.service.live() == 0


async def test_a_kill_is_one_request_a_call_until_the_service_says_it_is_over() -> None:
    async with open_bench() as bench:
        attempt = bench.job(seconds=ENDLESS)
        await attempt.run(until=Phase.RUNNING)
        before = bench.service.requests()

        answer = await attempt.kill()

        assert isinstance(answer, Gone)
        assert bench.requests()[before:] == [("DELETE", "/base/jobs/job-1")]


async def test_a_service_that_cannot_stop_jobs_is_waited_for() -> None:
    async with open_bench(delete=None) as bench:
        attempt = bench.job(seconds=60.0)
        await attempt.run(until=Phase.RUNNING)

        assert isinstance(await attempt.kill(), StillThere)
        await attempt.kill_until_gone()

        assert bench.service.live() == 0
        assert not bench.service.requests("DELETE")


async def test_a_job_that_failed_says_why() -> None:
    async with open_bench() as bench:
        status = await bench.job(custom={"fail": "no space left"}).run()

    assert status.phase is Phase.RETRYABLE_FAILURE
    assert status.error is not None
    assert status.error.message == "no space left"


async def test_trouble_with_reads_is_shown_and_ends_nothing() -> None:
    async with open_bench(interval=1.0) as bench:
        attempt = bench.job(seconds=ENDLESS)
        await attempt.run(until=Phase.RUNNING)
        bench.service.inject(Fault.ERROR, times=1000)

        await elapse(30)
        status = await attempt.check()

    assert status.phase is Phase.RUNNING
    assert "not heard of it since" in status.reason
    assert "500" in status.reason


async def test_a_status_that_nobody_declared_does_not_make_the_start_unknown() -> None:
    phases = {"running": "Running", "succeeded": "Success"}
    async with open_bench(phases=phases) as bench:
        attempt = bench.job()

        status = await attempt.start()

        assert not isinstance(status, NotStarted)
        assert status.phase is Phase.QUEUED
        await elapse(0.5)
        with pytest.raises(ExecutorError, match="phases"):
            await attempt.check()


async def test_a_findable_job_keeps_its_outputs_over_a_lost_start() -> None:
    create = {**SERVICE["create"], "body": {**SERVICE["create"]["body"], "key": "{{.key}}"}, "key_header": ""}
    async with open_bench(start={"how": "findable"}, create=create) as bench:
        attempt = bench.job(outputs={"words": int}, custom={"result": {"words": 3}})
        bench.service.inject(Fault.LOST_REPLY, methods={"POST"})

        status = await attempt.run()

    assert plain(status.outputs) == {"words": 3}
    assert bench.service.created[attempt.key] == 1


async def test_the_body_is_filled_in_from_the_task() -> None:
    body = {
        "seconds": "{{.parameters.seconds}}",
        "result": ["{{.key}}", "{{.inputs.seconds}}", "{{.execution}}", "{{.attempt}}", "{{.outputPrefix}}/x"],
    }
    async with open_bench(create={**SERVICE["create"], "body": body}) as bench:
        attempt = bench.job(seconds=1.5, custom={"service": "http_job", "parameters": {"seconds": 3}})
        await attempt.start()

        (job,) = bench.service.jobs_of(attempt.key)

    assert job.run_seconds == 3
    assert job.result == [attempt.key, 1.5, "test/task", 0, f"{attempt.data.locations.output_prefix}/x"]


async def test_a_task_without_a_value_that_the_body_needs_is_refused_by_name() -> None:
    async with open_bench(create={**SERVICE["create"], "body": {"x": "{{.custom.width}}"}}) as bench:
        with pytest.raises(PermanentError, match=r"needs custom\.width") as refusal:
            await bench.job().start()

    assert refusal.value.code == "BadTaskSpecification"


async def test_outputs_without_a_place_to_read_them_from_are_refused_before_any_request() -> None:
    async with open_bench(outputs="") as bench:
        with pytest.raises(PermanentError, match=r"services\.http_job\.outputs"):
            await bench.job(outputs={"o0": int}).start()

        assert bench.service.requests() == 0


async def test_a_service_can_be_named_by_task_type_or_in_custom() -> None:
    service = {**SERVICE, "phases": SERVICE["phases"]}
    async with open_bench() as bench:
        config = {"services": {"transcode": service, "index": service}}
        executor = HttpJobExecutor(lambda: bench.service)
        async with ExecutorEnvironment(lambda: executor, config=config) as environment:
            by_type = environment.attempt(make_template("transcode"), literals(), name="a")
            in_custom = environment.attempt(make_template("http_job", custom={"service": "index"}), name="b")
            nowhere = environment.attempt(make_template("http_job"), name="c")
            await by_type.start()
            await in_custom.start()

            assert (by_type.state.service, in_custom.state.service) == ("transcode", "index")
            assert executor.task_types == ("http_job", "transcode", "index")
            with pytest.raises(PermanentError, match=r"custom\.service to one of transcode, index"):
                await nowhere.start()


async def test_the_declaration_follows_from_the_configuration() -> None:
    async with open_bench(start={"how": "at_most_once"}) as strict, open_bench() as keyed:
        assert strict.environment.executor.start_declaration == AtMostOnce()
        assert keyed.environment.executor.start_declaration == Idempotent(window=86_400)
        assert HttpJobExecutor.start_declaration == AtMostOnce()


async def test_a_wrong_configuration_opens_nothing() -> None:
    opened: list[str] = []
    environment = ExecutorEnvironment(lambda: HttpJobExecutor(lambda: opened.append("x")), config={})  # type: ignore[arg-type,func-returns-value]

    with pytest.raises(UsageError, match="services"):
        async with environment:
            pass

    assert not opened


async def test_without_aiohttp_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)

    with pytest.raises(ExecutorError, match=r"pip install 'airscrew\[http\]'"):
        async with ExecutorEnvironment(HttpJobExecutor, config={"services": {"http_job": SERVICE}}):
            pass


async def test_an_executor_that_was_closed_can_be_initialised_again() -> None:
    async with open_bench() as bench:
        executor = bench.environment.executor
        for _ in range(2):
            async with ExecutorEnvironment(lambda: executor, config={"services": {"http_job": SERVICE}}) as environment:
                attempt = environment.attempt(make_template("http_job"), literals())
                assert (await attempt.run()).phase is Phase.SUCCESS
