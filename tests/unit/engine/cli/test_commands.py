"""The commands that look and the commands that act, word by word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.support.fake_engine import NOW, RUNNING, SUCCESS, USER_FAILURE, FakeEngineApi
from tests.unit.engine.cli.conftest import Opened, Result

from airscrew.engine.api.model import (
    ApiError,
    AttemptView,
    ExecutorView,
    LeakView,
    LoadReply,
    LoadView,
    OutputsView,
    QuotaView,
    SubmitRequest,
)
from airscrew.engine.cli import looking
from airscrew.engine.config import WorkKind
from airscrew.engine.vitals import Answer
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.phase import ExternalResource, LogLink, Phase, Reason, TaskInfo
from airscrew.state.errors import SchemaError, StoreAccessError, StoreUnavailableError

Airscrew = Callable[..., Result]


@pytest.fixture
def three(fake: FakeEngineApi) -> FakeEngineApi:
    """One that runs, one that failed and one that succeeded."""

    async def seed() -> None:
        for name, labels in (("a", {"team": "x"}), ("b", {"team": "x", "tier": "1"}), ("c", {})):
            await fake.submit(SubmitRequest(name=name, template=b"t", labels=labels))
        await fake.change("default/a", **RUNNING)
        await fake.change("default/b", **USER_FAILURE)
        await fake.change("default/c", **SUCCESS)

    asyncio.run(seed())
    fake.results["default/c"] = OutputsView(values={"o0": [1, 2]}, types={"o0": "list[int]"})
    return fake


def test_list_is_a_table(airscrew: Airscrew, three: FakeEngineApi) -> None:
    assert airscrew("list").out == (
        "NAME        TASK TYPE   PHASE              REASON                      ATTEMPT   AGE\n"
        "default/a   echo        Running            it runs                     1/1       1h\n"
        "default/b   echo        PermanentFailure   ValueError: no such thing   1/1       1h\n"
        "default/c   echo        Success            -                           1/1       1h\n"
    )


def test_list_wide_has_more_columns(airscrew: Airscrew, three: FakeEngineApi) -> None:
    lines = airscrew("list", "-o", "wide", "--phase", "running").out.splitlines()

    assert lines[0].split() == [
        "NAME",
        "TASK",
        "TYPE",
        "PHASE",
        "REASON",
        "ATTEMPT",
        "AGE",
        "EXECUTOR",
        "TASK",
        "KEY",
        "LABELS",
    ]
    assert lines[1].split()[-4:] == ["echo", "demo.echo", "-", "team=x"]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["a", "b", "c"]),
        (["-l", "team=x"], ["a", "b"]),
        (["-l", "team=x", "-l", "tier=1"], ["b"]),
        (["--active"], ["a"]),
        (["--phase", "Success", "--phase", "permanent_failure"], ["b", "c"]),
        (["-n", "other"], []),
    ],
)
def test_list_chooses(airscrew: Airscrew, three: FakeEngineApi, options: list[str], names: list[str]) -> None:
    result = airscrew("list", "-o", "name", *options)

    assert result.out.split() == [f"default/{name}" for name in names]


def test_list_says_when_there_are_more(airscrew: Airscrew, three: FakeEngineApi) -> None:
    result = airscrew("list", "-o", "name", "--limit", "2")

    assert result.out.split() == ["default/a", "default/b"]
    assert "more than 2" in result.err


def test_list_with_nothing_says_so(airscrew: Airscrew) -> None:
    assert airscrew("list").out == "no executions\n"


def test_list_as_data(airscrew: Airscrew, three: FakeEngineApi) -> None:
    from_json = json.loads(airscrew("list", "-o", "json").out)
    from_yaml = yaml.safe_load(airscrew("list", "-o", "yaml").out)

    assert [view["phase"] for view in from_json] == ["Running", "PermanentFailure", "Success"]
    assert from_yaml == from_json


def test_an_unknown_phase_is_a_usage_error(airscrew: Airscrew) -> None:
    result = airscrew("list", "--phase", "flying")

    assert result.code == 2
    assert "no phase is called 'flying'" in result.err


def test_get_takes_a_name_with_or_without_its_namespace(airscrew: Airscrew, three: FakeEngineApi) -> None:
    assert airscrew("get", "a").out == airscrew("get", "default/a").out
    assert airscrew("get", "a").out.splitlines()[1].startswith("default/a   echo        Running")


def test_get_as_data_has_the_outputs(airscrew: Airscrew, three: FakeEngineApi) -> None:
    shown = json.loads(airscrew("get", "c", "-o", "json").out)

    assert (shown["execution"], shown["outputs"], shown["output_types"]) == (
        "default/c",
        {"o0": [1, 2]},
        {"o0": "list[int]"},
    )


def test_what_is_not_there_ends_with_2(airscrew: Airscrew) -> None:
    result = airscrew("get", "none")

    assert (result.code, result.out) == (2, "")
    assert result.err == "airscrew: error: no execution is called default/none: see `airscrew list`\n"


def test_describe_tells_everything(airscrew: Airscrew, three: FakeEngineApi) -> None:
    error = ExecutionError(code="USER:ValueError", message="ValueError: no\n  at line 3", kind=ErrorKind.USER)
    info = TaskInfo(
        logs=(LogLink(name="console", uri="file:///log"),),
        external_resources=(ExternalResource(external_id="job-1", phase=Phase.RUNNING),),
        progress=0.5,
        reasons=(Reason(reason="image pulled", occurred_at=NOW + 1),),
    )
    past = AttemptView(attempt=0, phase=Phase.RETRYABLE_FAILURE, error=error, started_at=NOW + 1, ended_at=NOW + 63)
    changes = {
        "info": info,
        "attempts": [past],
        "attempt": 1,
        "max_attempts": 3,
        "custom_state": {"id": 7},
        "ledger": ["ab"],
    }
    asyncio.run(three.change("default/a", started_at=NOW + 70, next_try_at=NOW + 3605, **changes))

    assert airscrew("describe", "a").out == (
        "Name:         default/a\n"
        "UID:          00000000000000000000000000000000\n"
        "Task:         demo.echo (echo)\n"
        "Executor:     echo\n"
        "Phase:        Running\n"
        "Reason:       it runs\n"
        "Since:        2023-11-14 22:13:20 UTC (1h ago)\n"
        "Attempt:      2 of 3\n"
        "Next look:    in 5.0s\n"
        "Progress:     50%\n"
        "Labels:       team=x\n"
        "Timeline:     2023-11-14 22:13:20 UTC  accepted\n"
        "              2023-11-14 22:13:21 UTC  attempt 1 started\n"
        "              2023-11-14 22:13:21 UTC  image pulled\n"
        "              2023-11-14 22:14:23 UTC  attempt 1 ended RetryableFailure (1m2s): ValueError: no at line 3\n"
        "              2023-11-14 22:14:30 UTC  attempt 2 started\n"
        "Logs:         console: file:///log\n"
        "Outside:      job-1  Running\n"
        "Still open:   ab\n"
        'Custom state: {"id":7}\n'
    )


def test_watch_tells_each_change_and_ends_like_the_execution(
    airscrew: Airscrew, fake: FakeEngineApi, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.0)
    fake.script = [RUNNING, USER_FAILURE]
    asyncio.run(fake.submit(SubmitRequest(name="a", template=b"t")))

    result = airscrew("watch", "a", "-o", "json")

    assert [json.loads(line)["phase"] for line in result.out.splitlines()] == ["Queued", "Running", "PermanentFailure"]
    assert result.code == 1
    assert "no engine works on it" in result.err
    assert len(opened.views) == 3, "the store is let go of between two looks"


def test_metrics_are_printed_as_they_were_told(airscrew: Airscrew, three: FakeEngineApi) -> None:
    airscrew("logs", "a", "--metrics")

    assert ("metrics", ("default/a", None, False)) in three.calls
    assert "leave out --follow" in airscrew("logs", "a", "--metrics", "--follow").err


def test_logs_are_printed_byte_for_byte(airscrew: Airscrew, three: FakeEngineApi) -> None:
    three.log["default/a"] = bytearray("märchen\nno newline".encode())

    assert airscrew("logs", "a", "--attempt", "2").out == "märchen\nno newline"
    assert ("logs", ("default/a", 1, False)) in three.calls


def test_kill_waits_until_it_is_gone(airscrew: Airscrew, three: FakeEngineApi, opened: Opened) -> None:
    result = airscrew("kill", "a", "--reason", "enough")

    assert (result.code, result.out) == (0, "default/a\n")
    assert "default/a: Aborted · enough" in result.err
    assert opened.engines[0][1].executions == frozenset({"default/a"})


def test_kill_by_label_kills_what_is_active_and_carries_it(airscrew: Airscrew, three: FakeEngineApi) -> None:
    result = airscrew("kill", "-l", "team=x", "--force")

    assert result.out == "default/a\n"
    assert [argument for call, argument in three.calls if call == "kill"] == [
        ("default/a", "killed by airscrew kill", True)
    ]


def test_kill_by_a_label_that_nothing_carries_says_so(airscrew: Airscrew, three: FakeEngineApi) -> None:
    result = airscrew("kill", "-l", "team=y")

    assert (result.code, result.err) == (0, "airscrew: nothing active carries these labels\n")


@pytest.mark.parametrize("words", [[], ["a", "-l", "team=x"]])
def test_kill_wants_names_or_labels(airscrew: Airscrew, words: list[str]) -> None:
    assert airscrew("kill", *words).code == 2


def test_killing_what_is_not_there_ends_with_2(airscrew: Airscrew, three: FakeEngineApi) -> None:
    assert airscrew("kill", "none").code == 2


def test_retry_follows_the_new_execution(airscrew: Airscrew, three: FakeEngineApi) -> None:
    three.script = [RUNNING, SUCCESS]
    three.results["default/b-r"] = OutputsView(values={"o0": 1}, types={"o0": "int"})

    result = airscrew("retry", "b")

    assert (result.code, result.out) == (0, "o0: int = 1\n")
    assert "default/b-r: Success" in result.err


def test_retry_of_what_is_not_over_is_refused(airscrew: Airscrew, three: FakeEngineApi) -> None:
    result = airscrew("retry", "a")

    assert (result.code, "kill it first" in result.err) == (2, True)


LEAK = LeakView(key="ab", execution="default/a", executor="http", attempt=1, state="unknown", since=NOW, note="look")


def test_leaks_are_a_table(airscrew: Airscrew, fake: FakeEngineApi) -> None:
    fake.leak_views = [LEAK]

    assert airscrew("leaks").out == (
        "KEY   EXECUTION   ATTEMPT   EXECUTOR   STATE     AGE   NOTE\n"
        "ab    default/a   2         http       unknown   1h    look\n"
    )


def test_a_leak_is_cleared_by_its_key(airscrew: Airscrew, fake: FakeEngineApi) -> None:
    fake.leak_views = [LEAK]

    result = airscrew("leaks", "--clear", "ab")

    assert (result.code, result.out) == (0, "nothing is left outside\n")
    assert airscrew("leaks", "--clear", "ab").code == 2


def test_quotas_are_a_table(airscrew: Airscrew, fake: FakeEngineApi) -> None:
    assert airscrew("quotas").out == "no quotas are set\n"
    fake.quota_views = [
        QuotaView(pool="hive", limit=10, used=10, waiting=2, oldest_wait_since=NOW),
        QuotaView(pool="hive", scope="namespace team-a", limit=5, used=4),
        QuotaView(pool="old", used=1),
    ]

    assert airscrew("quotas").out == (
        "POOL   SHARE              LIMIT   USED   WAITING   OLDEST WAIT\n"
        "hive   -                  10      10     2         1h\n"
        "hive   namespace team-a   5       4      0         -\n"
        "old    -                  -       1      0         -\n"
    )
    first, *_ = json.loads(airscrew("quotas", "-o", "json").out)
    assert first == {
        "pool": "hive",
        "scope": "",
        "limit": 10,
        "used": 10,
        "waiting": 2,
        "oldest_wait_since": NOW,
    }


def test_prune_uses_the_configured_age(airscrew: Airscrew, three: FakeEngineApi) -> None:
    result = airscrew("prune", "--dry-run")

    assert (result.out, result.err) == ("default/b\ndefault/c\n", "airscrew: 2 would go\n")
    assert ("prune", (7 * 86400.0, 0, True)) in three.calls


def test_prune_takes_an_age_and_a_number(airscrew: Airscrew, three: FakeEngineApi) -> None:
    result = airscrew("prune", "--older-than", "12h", "--keep", "1")

    assert (result.out, result.err) == ("default/c\n", "airscrew: 1 pruned\n")
    assert ("prune", (43200.0, 1, False)) in three.calls


def test_plugins_show_what_is_broken(airscrew: Airscrew, fake: FakeEngineApi) -> None:
    fake.executor_views = [
        ExecutorView(id="echo", task_types=["echo"], start="NoEffect", version="1.0", live=2),
        ExecutorView(id="spark", problem="ImportError: no module pyspark"),
        ExecutorView(id="process", task_types=["python-task", "container"], enabled=False),
        ExecutorView(id="http", breaker="503 for 30 s"),
    ]

    assert airscrew("plugins").out == (
        "ID        TASK TYPES               START      LIVE   VERSION   STATUS\n"
        "echo      echo                     NoEffect   2      1.0       ready\n"
        "spark     -                        -          0      -         broken: ImportError: no module pyspark\n"
        "process   python-task, container   -          0      -         disabled\n"
        "http      -                        -          0      -         held back: 503 for 30 s\n"
    )


def test_a_load_says_what_came_and_what_takes_a_restart(airscrew: Airscrew, fake: FakeEngineApi) -> None:
    restart = "late 1.0 is loaded and 1.1 is installed: restart the engine, it adopts all that runs"
    fake.load_reply = LoadReply(
        executors=[
            LoadView(id="echo", outcome="there", version="0.1.0", installed="0.1.0"),
            LoadView(id="late", outcome="restart", version="1.0", installed="1.1", reason=restart),
            LoadView(id="new", outcome="loaded", version="2.0", installed="2.0", task_types=["new", "newer"]),
        ]
    )

    result = airscrew("plugins", "load")

    assert (result.code, result.out) == (0, f"late: {restart}\nnew 2.0: loaded, serves new, newer\n")


def test_a_load_of_nothing_new_says_so_and_a_member_tells_of_itself_alone(
    airscrew: Airscrew, fake: FakeEngineApi
) -> None:
    fake.load_reply = LoadReply(executors=[LoadView(id="echo", outcome="there")], member="here-1")

    assert airscrew("plugins", "load").out == (
        "nothing new is installed; 1 executors are there\n"
        "this is so in here-1 alone: the other engines of the store load theirs, or restart\n"
    )


def test_a_load_that_failed_ends_with_3(airscrew: Airscrew, fake: FakeEngineApi) -> None:
    why = "executor 'bad' is out of order: ImportError: no"
    fake.load_reply = LoadReply(executors=[LoadView(id="bad", outcome="failed", reason=why)])

    result = airscrew("plugins", "load", "-o", "json")

    assert (result.code, json.loads(result.out)["executors"][0]["reason"]) == (3, why)


def test_looking_opens_no_engine(airscrew: Airscrew, three: FakeEngineApi, opened: Opened) -> None:
    for words in (["list"], ["get", "a"], ["describe", "a"], ["logs", "a"], ["leaks"], ["quotas"], ["plugins"]):
        airscrew(*words)

    assert opened.engines == []
    assert len(opened.views) == 7


def test_an_engine_that_cannot_be_reached_ends_with_3(airscrew: Airscrew, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")

    result = airscrew("list", "--server", "127.0.0.1:1", "--token-file", tmp_path / "token")

    assert result.code == 3
    assert "no engine answers at 127.0.0.1:1" in result.err


def test_a_server_beyond_this_machine_is_refused(airscrew: Airscrew) -> None:
    result = airscrew("--server", "example.org:80", "list")

    assert (result.code, "is not on this machine: use TLS" in result.err) == (2, True)


def test_the_roots_options_may_follow_the_command(airscrew: Airscrew, opened: Opened, tmp_path: Path) -> None:
    airscrew("list", "--home", tmp_path / "there")

    assert opened.views[0].home == str(tmp_path / "there")


def test_serve_works_on_everything_and_keeps_processes_off(
    airscrew: Airscrew, fake: FakeEngineApi, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airscrew.engine.cli.commands.serve.IDLE_SECONDS", 0.0)

    result = airscrew("serve", "--until-idle")

    ((settings, work),) = opened.engines
    assert (result.code, work.kind, settings.process_executor) == (0, WorkKind.ALL, False)
    assert result.err.startswith("airscrew: serving on unix:")


def test_serve_is_not_ready_any_more_while_it_drains(
    airscrew: Airscrew, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airscrew.engine.cli.commands.serve.IDLE_SECONDS", 0.0)

    result = airscrew("serve", "--until-idle", "--health", "127.0.0.1:0")

    assert result.code == 0
    assert "airscrew: health on http://127.0.0.1:" in result.err
    assert opened.instruments is not None
    assert opened.instruments.meters.are_kept
    assert opened.at_the_end == Answer(False, "draining: the engine was told to stop")


def test_serve_without_a_health_address_watches_and_counts_nothing(
    airscrew: Airscrew, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airscrew.engine.cli.commands.serve.IDLE_SECONDS", 0.0)

    assert airscrew("serve", "--until-idle").code == 0
    assert opened.instruments is None


def test_serve_waits_for_a_store_that_is_away_and_says_each_reason_once(
    airscrew: Airscrew, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airscrew.engine.cli.commands.serve.IDLE_SECONDS", 0.0)
    monkeypatch.setattr("airscrew.engine.cli.commands.serve.FIRST_PAUSE_SECONDS", 0.0)
    away, refused = StoreUnavailableError("etcd is away"), StoreAccessError("etcd does not let us in")
    opened.busy = [away, away, ExceptionGroup("on the way up", [refused])]

    result = airscrew("serve", "--until-idle")

    assert result.code == 0
    waits = [line for line in result.err.splitlines() if "waiting" in line]
    assert waits == ["airscrew: waiting: etcd is away", "airscrew: waiting: etcd does not let us in"]


def test_serve_does_not_wait_for_what_no_waiting_can_mend(airscrew: Airscrew, opened: Opened) -> None:
    opened.busy = [SchemaError("use the newer airscrew")]

    result = airscrew("serve", "--until-idle")

    assert (result.code, result.err) == (2, "airscrew: error: use the newer airscrew\n")


def test_serve_refuses_to_listen_beyond_this_machine(airscrew: Airscrew, opened: Opened) -> None:
    result = airscrew("serve", "--listen", "0.0.0.0:8787")

    assert (result.code, opened.engines) == (2, [])
    assert "without TLS only loopback is served" in result.err


def test_serve_listens_on_a_port_with_a_token(
    airscrew: Airscrew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airscrew.engine.cli.commands.serve.IDLE_SECONDS", 0.0)

    result = airscrew("serve", "--listen", "127.0.0.1:0", "--until-idle", "--token-file", tmp_path / "t")

    assert " and 127.0.0.1:" in result.err


def test_an_error_of_the_engine_ends_with_3(airscrew: Airscrew, fake: FakeEngineApi) -> None:
    fake.refuse["list"] = ApiError("failed", "the store is broken")

    assert airscrew("list").code == 3


def test_a_new_plugin_is_written_where_it_is_wanted(airscrew: Airscrew, tmp_path: Path) -> None:
    result = airscrew("plugin", "new", "fresh-one", "--kind", "sync", "--folder", tmp_path / "there")

    assert (result.code, result.out) == (0, "")
    assert result.err == f"airscrew: {tmp_path / 'there'} is written; its README.md says what follows\n"
    assert (tmp_path / "there" / "src" / "fresh_one" / "executor.py").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["echo", "--kind", "sync"], "an executor called 'echo' is installed already: choose another name"),
        (["flytekit", "--kind", "sync"], "a Python package called 'flytekit' is installed already"),
        (["fresh", "--kind", "batch"], "'batch' is not one of 'webapi', 'kubernetes', 'sync', 'complex'"),
        (["fresh"], "Missing option '--kind'"),
    ],
)
def test_a_plugin_that_cannot_be_made_is_refused_in_one_line(
    airscrew: Airscrew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)

    result = airscrew("plugin", "new", *words)

    assert (result.code, result.out) == (2, "")
    assert told in result.err.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []
