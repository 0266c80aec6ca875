"""
Stored rows: whatever is in one of an execution, the engine begins, and all the other executions go on.

Custom state that cannot be read quarantines its execution; a record that cannot is told to whoever asks for it.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.types_pb2 import DURATION
from hypothesis import strategies as st
from tests.fuzz.engine import DAYS_SECONDS, open_engine, play, see_refusal, see_shown
from tests.fuzz.mutations import NUMBERED, TIMES, spoil_bytes, spoil_tree
from tests.fuzz.target import Target
from tests.support.scripted import Scripted
from tests.support.templates import echo_template

from airscrew.engine.api.model import ApiError, SubmitRequest
from airscrew.engine.core import Core
from airscrew.engine.testing.virtual_time import run_virtual
from airscrew.plugins.echo import EchoExecutor
from airscrew.plugins.sleep import SleepExecutor
from airscrew.state.memory import MemoryStore
from airscrew.state.store import Put

OF_EXECUTIONS = ("spec/", "record/", "request/", "ledger/", "event/")
GOOD_ANSWERS = frozenset({"failed", "invalid", "not_found"})


def executors() -> tuple[EchoExecutor, SleepExecutor, Scripted]:
    return EchoExecutor(), SleepExecutor(), Scripted()


@cache
def rows() -> tuple[tuple[str, bytes], ...]:
    """What an engine has stored of a sleep, a job and one that was asked to end, when it stops half-way."""
    store = MemoryStore()

    async def life(folder: str) -> None:
        jobs = Scripted()
        jobs.will("kill_task", *[OSError("no answer")] * 99)
        async with open_engine(folder, store, [EchoExecutor(), SleepExecutor(), jobs]) as core:
            sleep = echo_template(task_type="core-sleep", name="demo.sleep")
            sleep.interface.inputs.variables["long"].type.simple = DURATION
            await core.api.submit(
                SubmitRequest(name="bad-sleep", template=sleep.SerializeToString(), inputs=_seconds(900))
            )
            job = echo_template(task_type="job", name="demo.job").SerializeToString()
            await core.api.submit(SubmitRequest(name="bad-job", template=job))
            await core.api.submit(SubmitRequest(name="bad-kill", template=job))
            await asyncio.sleep(30)
            await core.api.kill("default/bad-kill", "for a test")
            await asyncio.sleep(30)

    with tempfile.TemporaryDirectory(prefix="airscrew-fuzz-") as folder:
        run_virtual(life(folder), limit_seconds=DAYS_SECONDS)
    page = asyncio.run(store.range("", "\U0010ffff", limit=1000))
    return tuple((item.key, item.value) for item in page.items)


def _seconds(seconds: int) -> bytes:
    made = LiteralMap()
    made.literals["long"].scalar.primitive.duration.FromSeconds(seconds)
    return bytes(made.SerializeToString())


def spoilable() -> list[tuple[str, bytes]]:
    return [(key, value) for key, value in rows() if key.startswith(OF_EXECUTIONS)]


def check(data: bytes) -> None:
    key, _, value = data.partition(b"\n")
    store, stored = MemoryStore(), rows()

    async def fill() -> None:
        for known, old in stored:
            await store.txn([], [Put(known, value if known.encode() == key else old)])

    asyncio.run(fill())

    async def body(core: Core, folder: Path) -> None:
        await asyncio.sleep(300)
        for name in ("bad-sleep", "bad-job", "bad-kill"):
            await see_answer(core, f"default/{name}")
        await core.api.leaks()
        await core.api.prune(older_than_seconds=0, dry_run=True)

    play(body, *executors(), store=store)


async def see_answer(core: Core, execution: str) -> None:
    """See that an execution is shown, or that it is said why not."""
    try:
        see_shown(await core.api.get(execution))
        await core.api.outputs(execution)
        await core.api.kill(execution, "again")
    except ApiError as error:
        see_refusal(error, GOOD_ANSWERS)


def spoil(place: int, number: int, times: int, *, tree: bool) -> bytes:
    """Spoil one of the rows."""
    known = spoilable()
    key, value = known[place % len(known)]
    made = spoil_bytes(value, number, times)
    if tree:
        with suppress(ValueError):
            made = json.dumps(spoil_tree(value.decode(), number, times)).encode()
        made = made.replace(b'"@DEEP@"', b'{"a":' * 2000 + b"1" + b"}" * 2000)
    return key.encode() + b"\n" + made


INPUTS = st.builds(spoil, st.integers(0, 100), NUMBERED, TIMES, tree=st.sampled_from([True, True, False]))
TARGET = Target(name="records", inputs=INPUTS, check=check, examples=100)


@TARGET.fuzzed
def test_whatever_is_in_a_row_the_others_go_on(data: bytes) -> None:
    check(data)
