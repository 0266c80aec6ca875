from __future__ import annotations

import logging
import sys
from typing import Any

import msgspec
import pytest
from flyteidl.core.types_pb2 import LiteralType
from tests.support.fake_qubole import FakeQubole, answer
from tests.support.literal_maps import literals
from tests.unit.plugins.qubole.qubole_kit import CONFIG, ENDLESS, SECRETS, TOKEN, hive_task, open_bench
from typing_extensions import override

from airscrew.engine.clock import LoopClock
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import NotStarted
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.job_service import FakeReply, Fault
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.phase import Phase
from airscrew.idl.template import TaskTemplate, make_template
from airscrew.plugins.qubole import QuboleExecutor

pytestmark = [
    pytest.mark.virtual_time,
    pytest.mark.reaches(
        "qubole", how="own", by="qubole", checked="the service takes Qubole's own client (qds-sdk) as well"
    ),
]


async def test_the_queries_of_the_message_are_copied_into_the_custom_state() -> None:
    async with open_bench() as bench:
        attempt = bench.task("select sleep(20)", custom={"tags": ["nightly"]})

        await attempt.start()

    assert msgspec.json.decode(attempt.raw_state or b"") == {
        "id": "1001",
        "created_at": 1_700_000_000.0,
        "queries": [{"query": "select sleep(20)"}],
        "cluster": "etl",
        "tags": ["nightly", f"airscrew.key:{attempt.key}", "ns:test"],
        "status": "waiting",
        "progress": 0.0,
    }


@pytest.mark.shows("start", "poll", "succeed")
async def test_a_command_is_asked_for_once_under_the_attempts_key_and_runs_to_its_end() -> None:
    async with open_bench() as bench:
        attempt = bench.task("select sleep(20)")

        status = await attempt.run()

    assert status.phase is Phase.SUCCESS
    assert attempt.phases == [Phase.QUEUED, Phase.RUNNING, Phase.SUCCESS]
    assert bench.qubole.bodies == [
        {
            "command_type": "HiveCommand",
            "query": "select sleep(20)",
            "name": attempt.key,
            "tags": [f"airscrew.key:{attempt.key}", "ns:test"],
            "label": "etl",
        }
    ]


async def test_a_collection_of_queries_is_one_command_that_runs_them_in_order() -> None:
    queries = [{"query": "create table t (x int);", "timeoutSec": 60.0}, {"query": "select 1 ", "timeoutSec": 30.0}]
    template = make_template("hive", custom={"queryCollection": {"queries": queries}})
    async with open_bench(cluster="default") as bench:
        attempt = bench.environment.attempt(template)

        await attempt.run()

    (body,) = bench.qubole.bodies
    assert body["query"] == "create table t (x int);\nselect 1"
    assert (body["timeout"], body["label"]) == (90, "default")
    assert [one.query for one in attempt.state.queries] == ["create table t (x int);", "select 1 "]


async def test_what_the_query_writes_is_the_output() -> None:
    declared = LiteralType()
    declared.schema.columns.add(name="x")
    query = "insert overwrite directory '{{ .rawOutputDataPrefix }}' select * from t where ds = '{{ .Inputs.ds }}'"
    async with open_bench() as bench:
        template = hive_task(query, inputs={"ds": str}, outputs={"results": declared})
        attempt = bench.environment.attempt(template, literals(ds=("2026-11-28", str)))

        status = await attempt.run()

    place = attempt.data.locations.raw_output_prefix
    assert bench.qubole.bodies[0]["query"] == (
        f"insert overwrite directory '{place}' select * from t where ds = '2026-11-28'"
    )
    outputs: Any = status.outputs
    assert outputs.literals["results"].scalar.schema.uri == place
    assert outputs.literals["results"].scalar.schema.type == declared.schema


@pytest.mark.shows("user failure")
async def test_a_query_that_fails_is_the_users_failure_and_the_way_to_its_log_is_shown() -> None:
    async with open_bench() as bench:
        status = await bench.task("select * from no_such_table").run()

    assert status.error is not None
    assert (status.error.code, status.error.kind.value) == ("HiveQueryFailed", "USER")
    assert [link.uri for link in status.info.logs] == ["https://qubole.test/v2/analyze?command_id=1001"]


@pytest.mark.shows("system failure")
async def test_a_command_that_somebody_cancels_is_the_systems_failure() -> None:
    async with open_bench() as bench:
        attempt = bench.task(f"select sleep({ENDLESS})")
        await attempt.run(until=Phase.RUNNING)

        bench.qubole.jobs["1001"].cancelled = True
        status = await attempt.run()

    assert status.error is not None
    assert (status.error.code, status.error.kind.value) == ("JobCancelled", "SYSTEM")


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (hive_task(" "), r"custom\.query\.query is empty"),
        (hive_task("select 1", outputs={"rows": int}), "output 'rows' cannot come of a query"),
        (hive_task("select 1", outputs={"results": int}), "must be a schema or a structured dataset"),
        (hive_task("select '" + "x" * 60_000 + "'"), "bytes of the custom state"),
        (make_template("hive", custom={"query": {"qeury": "x"}}), r"QuboleHiveJob"),
    ],
)
async def test_a_task_that_can_never_run_is_refused_and_nothing_is_made(template: TaskTemplate, told: str) -> None:
    async with open_bench() as bench:
        with pytest.raises(PermanentError, match=told):
            await bench.environment.attempt(template).start()

        assert bench.qubole.requests() == 0


async def test_a_missing_secret_is_named_and_nothing_is_made() -> None:
    service = FakeQubole(clock=LoopClock(), token=TOKEN)
    async with ExecutorEnvironment(lambda: QuboleExecutor(lambda: service), config=CONFIG) as environment:
        with pytest.raises(PermanentError, match="qubole-token"):
            await environment.attempt(hive_task("select 1")).start()

    assert service.requests() == 0


@pytest.mark.shows("lost reply")
@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.LATE, Fault.GARBAGE, Fault.ERROR, Fault.HIDDEN])
async def test_a_start_whose_answer_is_lost_is_found_by_its_name(fault: Fault) -> None:
    async with open_bench() as bench:
        attempt = bench.task("select sleep(20)")
        bench.qubole.inject(fault, methods={"POST"})

        status = await attempt.run()

    assert status.phase is Phase.SUCCESS
    assert bench.qubole.created[attempt.key] == 1
    assert [one.query for one in attempt.state.queries] == ["select sleep(20)"]


@pytest.mark.shows("outage")
@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.ERROR, Fault.GARBAGE, Fault.SLOW])
async def test_half_an_hour_without_qubole_uses_up_no_attempt(fault: Fault) -> None:
    async with open_bench() as bench:
        attempt = bench.task("select sleep(600)")
        await attempt.run(until=Phase.RUNNING)
        bench.qubole.inject(fault, times=1_000_000)
        await elapse(1800.0)

        waiting = await bench.task("select 1", name="waiting").start()
        shown = await attempt.check()
        bench.qubole.heal()
        await elapse(60.0)
        status = await attempt.run()

    assert isinstance(waiting, NotStarted)
    assert "qubole is not to be reached since" in shown.reason
    assert status.phase is Phase.SUCCESS
    assert bench.qubole.created[attempt.key] == 1


class StrangeQubole(FakeQubole):
    """Answers reads with what a test says."""

    told: Any = None

    @override
    def _command(self, method: str, command: str, raw: bytes | None) -> FakeReply:
        return super()._command(method, command, raw) if self.told is None else answer(self.told)


@pytest.mark.shows("garbage")
@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"id": 7, "status": "done"}, "asked for command 1001, it answered with 7"),
        ({"id": 1001}, "no Command"),
        ({"id": 1001, "status": 3}, "no Command"),
        ([], "no Command"),
    ],
)
async def test_an_answer_that_cannot_be_right_leaves_the_command_alone(told: Any, reason: str) -> None:
    async with open_bench(make_service=StrangeQubole) as bench:
        attempt = bench.task(f"select sleep({ENDLESS})")
        await attempt.run(until=Phase.RUNNING)
        assert isinstance(bench.qubole, StrangeQubole)

        bench.qubole.told = told
        await elapse(60.0)
        status = await attempt.check()

    assert status.phase is Phase.RUNNING
    assert reason in status.reason


async def test_a_status_that_the_api_does_not_know_is_an_error_that_names_it() -> None:
    async with open_bench(make_service=StrangeQubole) as bench:
        attempt = bench.task(f"select sleep({ENDLESS})")
        await attempt.run(until=Phase.RUNNING)
        assert isinstance(bench.qubole, StrangeQubole)

        bench.qubole.told = {"id": 1001, "status": "done-ish"}
        await elapse(30.0)
        with pytest.raises(ValueError, match="Qubole says 'done-ish' of command 1001"):
            await attempt.check()


@pytest.mark.shows("kill")
async def test_a_kill_cancels_the_command_and_ends_when_qubole_says_so() -> None:
    async with open_bench() as bench:
        attempt = bench.task(f"select sleep({ENDLESS})")
        await attempt.run(until=Phase.RUNNING)

        await attempt.kill_until_gone()

        assert bench.qubole.live() == 0
        assert [event.path for event in bench.qubole.log if event.method == "PUT"] == ["/api/v1.2/commands/1001"]


@pytest.mark.shows("restart")
async def test_a_restart_at_each_step_leaves_one_command_that_runs_to_its_end() -> None:
    async with open_bench() as bench:
        attempt = bench.task("select sleep(20)")
        await attempt.start_unrecorded()
        await bench.environment.restart()
        await attempt.start_resolved(unknown=True)
        await bench.environment.restart()
        await attempt.run(until=Phase.RUNNING)
        await bench.environment.restart()

        status = await attempt.run()

    assert status.phase is Phase.SUCCESS
    assert bench.qubole.created[attempt.key] == 1


async def test_the_token_is_in_nothing_that_is_stored_shown_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_bench() as bench:
        attempt = bench.task("select sleep(20)")
        bench.qubole.inject(Fault.LOST_REPLY, methods={"POST"})

        await attempt.run()

    shown = msgspec.json.encode([[status.reason, status.info, status.state] for status in attempt.reports])
    kept = [attempt.raw_state or b"", shown, caplog.text.encode(), *attempt.data.files.values()]
    assert all(TOKEN.encode() not in one for one in kept)
    assert TOKEN not in " ".join(sys.argv)
    assert list(SECRETS.values()) == [TOKEN]
