"""Executors that are installed while an engine works."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from tests.unit.engine.test_registry import Plugin, named, parts_of, request_for, setup

from airscrew.engine.api.model import ApiError, LoadReply, LoadView
from airscrew.engine.arrivals import Arrivals
from airscrew.engine.core import open_core
from airscrew.engine.errors import ConflictingExecutorsError
from airscrew.engine.executor import Setup
from airscrew.engine.registry import Arrived, Candidate, Known, Registry, look_again, look_for_arrivals
from airscrew.engine.registry.discovery import GROUP
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.phase import Phase
from airscrew.state.beside import running_beside
from airscrew.state.memory import MemoryStore

MODULE = """\
from airscrew.plugins.echo import EchoExecutor


class It(EchoExecutor):
    id = {name!r}
    task_types = ({task_type!r},)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where packages are installed."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(site: Path, name: str, version: str = "1.0", *, task_type: str = "", editable: bool = False) -> None:
    """Put a package with one executor into a folder, as an installer does."""
    module = f"airscrew_test_{name}"
    sys.modules.pop(module, None)
    if not editable:
        (site / f"{module}.py").write_text(MODULE.format(name=name, task_type=task_type or name))
    for old in site.glob(f"{module}-*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    info = site / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}:It\n")
    if editable:
        (info / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')


def here(site: Path, known: Sequence[Known], disabled: frozenset[str]) -> Arrived:
    """Look at what lies in one folder."""
    points = [one for one in look_again() if one.dist is not None and str(one.dist.locate_file("")) == str(site)]
    return look_for_arrivals(points, known, lambda _: disabled)


@asynccontextmanager
async def arrivals_of(
    site: Path, registry: Registry, *, trouble: Exception | None = None, disabled: frozenset[str] = frozenset()
) -> AsyncIterator[Arrivals]:
    async def look(known: Sequence[Known]) -> Arrived:
        if trouble is not None:
            raise trouble
        return here(site, known, disabled)

    made = Arrivals(registry=registry, look=look, setup=setup, wake=lambda _: None)
    async with running_beside(arrivals=made.keep_arrivals()):
        yield made


async def load(site: Path, registry: Registry) -> dict[str, LoadView]:
    async with arrivals_of(site, registry) as arrivals:
        return {view.id: view for view in (await arrivals.load_arrivals()).executors}


async def test_what_was_installed_after_the_process_began_is_found(site: Path) -> None:
    assert "late" not in {one.name for one in entry_points(group=GROUP)}
    install(site, "late")
    registry = Registry()

    found = await load(site, registry)

    assert found["late"] == LoadView(id="late", outcome="loaded", version="1.0", installed="1.0", task_types=["late"])
    assert registry.resolve("late", has_container=False).id == "late"


async def test_what_is_there_stays_the_same_object(site: Path) -> None:
    install(site, "late")
    registry = Registry()
    await load(site, registry)
    first = registry.get("late")

    found = await load(site, registry)

    assert found["late"].outcome == "there"
    assert registry.get("late") is first


async def test_another_version_takes_a_restart_which_is_said_with_both(site: Path) -> None:
    install(site, "late", "1.0")
    registry = Registry()
    await load(site, registry)
    first = registry.get("late")
    install(site, "late", "1.1")

    found = (await load(site, registry))["late"]

    assert (found.outcome, found.version, found.installed) == ("restart", "1.0", "1.1")
    assert "airscrew_test_late 1.0 is loaded and 1.1 is installed" in found.reason
    assert "adopts all that runs" in found.reason
    assert registry.get("late") is first


async def test_an_executor_that_another_version_of_a_loaded_package_adds_takes_a_restart_too(site: Path) -> None:
    install(site, "late", "1.0")
    registry = Registry()
    await load(site, registry)
    install(site, "late", "1.1")
    points = site / "airscrew_test_late-1.1.dist-info" / "entry_points.txt"
    points.write_text(points.read_text() + "more = airscrew_test_late:More\n")

    found = await load(site, registry)

    assert found["more"].outcome == "restart"
    assert registry.get("more") is None


async def test_one_that_was_broken_is_loaded_once_what_it_needs_is_there(site: Path) -> None:
    install(site, "late")
    source = (site / "airscrew_test_late.py").read_text()
    (site / "airscrew_test_late.py").write_text("import no_such_module_at_all\n")
    registry = Registry()

    before = (await load(site, registry))["late"]
    (site / "airscrew_test_late.py").write_text(source)
    after = (await load(site, registry))["late"]

    assert (before.outcome, after.outcome) == ("failed", "loaded")
    assert "no_such_module_at_all" in before.reason


async def test_one_that_is_broken_as_it_was_is_no_news(site: Path) -> None:
    install(site, "late")
    (site / "airscrew_test_late.py").write_text("import no_such_module_at_all\n")
    registry = Registry()

    first, second = (await load(site, registry))["late"], (await load(site, registry))["late"]

    assert (first.outcome, second.outcome) == ("failed", "there")
    assert second.reason == first.reason


async def test_one_that_the_settings_leave_out_is_told_once(site: Path) -> None:
    install(site, "late")
    registry = Registry()
    async with arrivals_of(site, registry, disabled=frozenset({"late"})) as arrivals:
        views = [(await arrivals.load_arrivals()).executors for _ in range(2)]

    assert [[view.outcome for view in one] for one in views] == [["disabled"], ["there"]]
    assert "change them and restart the engine" in views[0][0].reason
    assert registry.get("late") is None


async def test_an_editable_install_that_is_not_seen_yet_is_told_apart(site: Path) -> None:
    install(site, "late", editable=True)

    found = (await load(site, Registry()))["late"]

    assert found.outcome == "failed"
    assert "editable install" in found.reason


async def test_a_task_type_that_is_taken_refuses_all_that_is_new(site: Path) -> None:
    install(site, "late", task_type="taken")
    install(site, "other")
    registry = Registry()
    registry.register(named("mine", "taken"))

    with pytest.raises(ConflictingExecutorsError, match=r"set default_for_task_types.taken to one of them"):
        await load(site, registry)

    assert [candidate.id for candidate, _, _ in registry.all()] == ["mine"]


async def test_a_name_that_is_taken_is_refused_and_leaves_its_holder_at_work(site: Path) -> None:
    install(site, "late")
    registry, mine = Registry(), named("late", "mine")
    registry.register(mine)

    with pytest.raises(ConflictingExecutorsError, match="both call themselves late"):
        await load(site, registry)

    assert registry.get("late") is mine


async def test_nobody_resolves_to_one_that_is_not_initialised_yet() -> None:
    registry, slow, begun, go_on = Registry(), named("slow", "slow"), asyncio.Event(), asyncio.Event()

    async def initialize(_: Setup) -> None:
        begun.set()
        await go_on.wait()

    slow.initialize = initialize  # type: ignore[method-assign]
    candidate = Candidate(id="slow", origin="slow:It", make=lambda: slow)
    async with asyncio.TaskGroup() as group:
        group.create_task(registry.take_in([candidate], setup, disabled=frozenset()))
        await begun.wait()
        during = registry.get("slow")
        go_on.set()

    assert during is None
    assert registry.get("slow") is slow


async def test_a_clash_that_shows_only_after_the_initialisation_is_refused_and_closed() -> None:
    registry, late = Registry(), named("late", "late")
    registry.register(named("mine", "taken"))

    async def initialize(_: Setup) -> None:
        vars(late)["task_types"] = ("late", "taken")

    late.initialize = initialize  # type: ignore[method-assign]
    candidate = Candidate(id="late", origin="late:It", make=lambda: late)

    with pytest.raises(ConflictingExecutorsError):
        await registry.take_in([candidate], setup, disabled=frozenset())

    assert registry.get("late") is None
    assert late.closed == 1


async def test_who_leaves_before_the_answer_changes_nothing(site: Path) -> None:
    install(site, "late")
    registry = Registry()
    async with arrivals_of(site, registry) as arrivals:
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(arrivals.load_arrivals())
            await asyncio.sleep(0)
            asked.cancel()

        await arrivals.load_arrivals()

    assert registry.get("late") is not None


async def test_an_error_is_told_to_who_asked_and_the_next_one_is_answered(site: Path) -> None:
    async with arrivals_of(site, Registry(), trouble=OSError("the disk is away")) as arrivals:
        for _ in range(2):
            with pytest.raises(OSError, match="the disk is away"):
                await arrivals.load_arrivals()


async def test_an_engine_that_stops_says_so_to_who_waits() -> None:
    async def never(_: Sequence[Known]) -> Arrived:
        await asyncio.Event().wait()
        raise AssertionError

    arrivals = Arrivals(registry=Registry(), look=never, setup=setup, wake=lambda _: None)
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(arrivals.keep_arrivals())
        asked = group.create_task(code_of(arrivals))
        for _ in range(5):
            await asyncio.sleep(0)
        loop.cancel()

    assert asked.result() == "unavailable"


async def code_of(arrivals: Arrivals) -> str:
    with suppress(ApiError):
        await arrivals.load_arrivals()
        return ""
    return "unavailable"


@pytest.mark.virtual_time
async def test_an_execution_that_waits_for_an_executor_goes_on_when_it_comes(site: Path) -> None:
    store = MemoryStore()
    registry = Registry()
    registry.register(named("late", "late", concurrency=0))
    async with open_core(await parts_of(store, registry)) as core:
        await core.api.submit(request_for("a", "late"))
    bare = Registry()
    async with open_core(await parts_of(store, bare)) as core:
        await elapse(1.0)
        waiting = await core.api.get("default/a")
        plugin = named("late", "late")
        wake = core.controller.wake_those_of
        arrivals = Arrivals(registry=bare, look=looked(plugin), setup=core.setup, wake=wake)
        async with running_beside(arrivals=arrivals.keep_arrivals()):
            reply = await arrivals.load_arrivals()
            await elapse(1.0)
        done = await core.api.get("default/a")

    assert "no executor takes task type 'late'" in waiting.reason
    assert [view.outcome for view in reply.executors] == ["loaded"]
    assert done.phase is Phase.SUCCESS


def looked(plugin: Plugin):
    async def look(_: Sequence[Known]) -> Arrived:
        return Arrived(candidates=[Candidate(id=plugin.id, origin="late:It", make=lambda: plugin)])

    return look


async def test_an_engine_whose_executors_a_program_gives_says_so() -> None:
    async with open_core(await parts_of(MemoryStore(), Registry())) as core:
        with pytest.raises(ApiError, match="given by the program") as caught:
            await core.api.load_executors()

    assert caught.value.code == "invalid"


async def test_an_engine_that_takes_some_in_answers_with_what_came_of_it() -> None:
    reply = LoadReply(executors=[LoadView(id="late", outcome="loaded")])

    async def take_in() -> LoadReply:
        return reply

    async def clash() -> LoadReply:
        raise ConflictingExecutorsError("task type 'x' is taken by a, b: set default_for_task_types.x to one of them")

    async with open_core(await parts_of(MemoryStore(), Registry())) as core:
        core.api.take_in = take_in
        assert await core.api.load_executors() == reply
        core.api.take_in = clash
        with pytest.raises(ApiError, match=r"default_for_task_types\.x") as caught:
            await core.api.load_executors()

    assert caught.value.code == "invalid"
