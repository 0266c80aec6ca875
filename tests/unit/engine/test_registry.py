from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from importlib.metadata import EntryPoint
from random import Random
from typing import Any

import pytest
from tests.support.scripted import Count
from tests.support.templates import echo_template

from airscrew.engine.api.model import ExecutionView, ListRequest, SubmitRequest
from airscrew.engine.clock import LoopClock, SystemClock
from airscrew.engine.core import CoreParts, open_core
from airscrew.engine.data.secrets import Secrets
from airscrew.engine.data.storage import Storage
from airscrew.engine.dataplane import LocalDataPlane
from airscrew.engine.errors import ConflictingExecutorsError, UnknownTaskTypeError
from airscrew.engine.executor import Executor, Findable, Idempotent, Setup, TaskContext, TaskStatus
from airscrew.engine.registry import Candidate, Registry, Resolution, discover, resolve
from airscrew.engine.taskcache import StoreTaskCache
from airscrew.engine.testing.virtual_time import elapse
from airscrew.engine.timebase import BootClock
from airscrew.idl.errors import UsageError
from airscrew.idl.phase import Phase
from airscrew.state.errors import StoreUnavailableError
from airscrew.state.memory import MemoryStore


class Plugin(Executor[Count]):
    id = "plugin"
    task_types = ("one", "two", "three")
    state_type = Count
    start_declaration = Idempotent()
    made = 0

    def __init__(self) -> None:
        type(self).made += 1
        self.setups: list[Setup] = []
        self.closed = 0
        self.trouble: BaseException | None = None
        self.started = 0

    async def initialize(self, setup: Setup) -> None:
        self.setups.append(setup)
        if self.trouble is not None:
            raise self.trouble

    async def start_task(self, context: TaskContext[Count], template: object) -> TaskStatus[Count]:
        self.started += 1
        return TaskStatus.success(Count())

    async def check_task_status(self, context: TaskContext[Count], state: Count) -> TaskStatus[Count]:
        return TaskStatus.success(state)

    async def close(self) -> None:
        self.closed += 1


def named(name: str, *types: str, **changes: object) -> Plugin:
    made = type(name.title(), (Plugin,), {"id": name, "task_types": types, **changes})
    return made()  # type: ignore[no-any-return]


def candidate(executor: Executor[Any], origin: str = "pkg:It") -> Candidate:
    return Candidate(id=executor.id, origin=origin, make=lambda: executor)


def setup(executor_id: str) -> Setup:
    return Setup(installation="i", clock=SystemClock(), random=Random(1), wake=lambda _: None)


class TestOneInstance:
    async def test_an_executor_of_many_types_is_initialised_once(self) -> None:
        registry, plugin = Registry(), Plugin()
        registry.register(plugin)

        for _ in range(3):
            await registry.initialise(setup)

        assert len(plugin.setups) == 1
        assert {registry.resolve(one, has_container=False) for one in plugin.task_types} == {plugin}

    async def test_registering_the_same_object_again_changes_nothing(self) -> None:
        registry, plugin = Registry(), Plugin()
        registry.register(plugin)
        await registry.initialise(setup)

        registry.register(plugin)
        await registry.initialise(setup)

        assert len(plugin.setups) == 1

    def test_another_object_under_the_same_id_is_refused(self) -> None:
        registry = Registry()
        registry.register(Plugin())

        with pytest.raises(ConflictingExecutorsError, match="'plugin' is taken"):
            registry.register(Plugin())

    def test_an_installed_one_is_made_once(self) -> None:
        registry, made = Registry(), []

        def make() -> Plugin:
            made.append(Plugin())
            return made[-1]

        for _ in range(2):
            registry.add([Candidate(id="plugin", origin="pkg:Plugin", make=make)])

        assert len(made) == 1
        assert registry.get("plugin") is made[0]

    async def test_after_a_close_it_is_initialised_again(self) -> None:
        registry, plugin = Registry(), Plugin()
        registry.register(plugin)
        await registry.initialise(setup)

        assert await registry.close() == {}
        await registry.initialise(setup)

        assert (len(plugin.setups), plugin.closed) == (2, 1)

    async def test_the_wake_that_it_was_given_once_reaches_the_engine_that_runs_now(self) -> None:
        registry, plugin, heard = Registry(), Plugin(), []
        registry.register(plugin)

        for life in ("first", "second"):
            await registry.initialise(
                lambda _, life=life: Setup(  # type: ignore[misc]
                    installation="i",
                    clock=SystemClock(),
                    random=Random(1),
                    wake=lambda key: heard.append((life, key)),
                )
            )
            plugin.setups[0].wake("akey")

        assert heard == [("first", "akey"), ("second", "akey")]

    async def test_the_same_of_what_it_watches_executions_by(self) -> None:
        registry, plugin, asked = Registry(), Plugin(), []
        registry.register(plugin)

        async def watch(name: str) -> AsyncGenerator[ExecutionView, None]:
            asked.append(name)
            return
            yield

        for engine in (None, watch):
            await registry.initialise(
                lambda _, engine=engine: Setup(  # type: ignore[misc]
                    installation="i", clock=SystemClock(), random=Random(1), wake=lambda _: None, watch=engine
                )
            )
            given = plugin.setups[0].watch
            assert given is not None
            if engine is None:
                with pytest.raises(StoreUnavailableError, match="no engine runs"):
                    given("a")
            else:
                assert [view async for view in given("a")] == []

        assert asked == ["a"]

    @pytest.mark.virtual_time
    async def test_a_thousand_tasks_of_three_types_across_a_restart_have_one_instance(self) -> None:
        registry, store = Registry(), MemoryStore()
        plugin = Plugin()
        registry.register(plugin)

        async with open_core(await parts_of(store, registry)) as core, asyncio.TaskGroup() as group:
            for number in range(1000):
                group.create_task(core.api.submit(request_for(f"n{number}", plugin.task_types[number % 3])))
        async with open_core(await parts_of(store, registry)) as core:
            await elapse(30)

        page = await core.api.list(ListRequest(limit=1000))
        assert len(page.executions) == 1000
        assert {view.phase for view in page.executions} == {Phase.SUCCESS}
        assert (len(plugin.setups), plugin.closed, plugin.started) == (1, 0, 1000)


class TestTrouble:
    @pytest.mark.parametrize("trouble", [OSError("no route"), SystemExit(3)], ids=["exception", "exit"])
    async def test_one_that_cannot_be_initialised_is_left_out_alone(self, trouble: BaseException) -> None:
        registry, bad, good = Registry(), named("bad", "b"), named("good", "g")
        bad.trouble = trouble
        registry.register(bad)
        registry.register(good)

        await registry.initialise(setup)

        assert registry.get("bad") is None
        assert registry.get("good") is good
        assert "out of order" in registry.why_absent("bad")

    @pytest.mark.virtual_time
    async def test_one_that_never_comes_up_does_not_keep_the_engine_down(self) -> None:
        registry, bad, good = Registry(), named("bad", "b"), named("good", "g")

        async def hang(_: Setup) -> None:
            await asyncio.Event().wait()

        bad.initialize = hang  # type: ignore[method-assign]
        registry.register(bad)
        registry.register(good)

        await registry.initialise(setup)

        assert registry.get("good") is good
        assert "TimeoutError" in registry.why_absent("bad")

    async def test_problems_of_closing_are_told_by_id(self) -> None:
        registry, plugin = Registry(), Plugin()

        async def refuse() -> None:
            raise OSError("busy")

        plugin.close = refuse  # type: ignore[method-assign]
        registry.register(plugin)
        await registry.initialise(setup)

        assert await registry.close() == {"plugin": "busy"}

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"task_types": ()}, "declares no task_types"),
            ({"state_type": None}, "declares no state_type"),
            ({"name_max_length": 5}, "at least 8"),
            ({"start_declaration": Findable()}, "has no find"),
        ],
    )
    def test_a_bad_declaration_is_a_problem_in_one_line(self, changes: dict[str, object], problem: str) -> None:
        registry = Registry()
        bad = type("Bad", (Plugin,), changes)()

        registry.register(bad)

        assert registry.get("plugin") is None
        assert problem in registry.why_absent("plugin")

    def test_an_entry_point_and_an_id_that_differ_are_a_problem(self) -> None:
        registry = Registry()

        registry.add([Candidate(id="other", origin="pkg:Plugin", make=Plugin)])

        assert registry.get("other") is None
        assert "give them one name" in registry.why_absent("other")

    def test_two_distributions_with_one_name_are_a_problem_of_both(self) -> None:
        registry = Registry()

        registry.add([candidate(Plugin(), "a:Plugin"), candidate(Plugin(), "b:Plugin")])

        assert registry.get("plugin") is None
        assert "a:Plugin and b:Plugin both call themselves plugin" in registry.why_absent("plugin")

    def test_one_of_the_embedding_program_goes_before_an_installed_one(self) -> None:
        registry, own = Registry(), Plugin()
        registry.register(own)

        registry.add([candidate(Plugin())])

        assert registry.get("plugin") is own

    def test_what_is_absent_is_said_with_its_reason(self) -> None:
        registry = Registry()
        registry.add([candidate(Plugin())], disabled=frozenset({"plugin"}))

        assert registry.why_absent("plugin") == "executor 'plugin' is not enabled"
        assert registry.why_absent("ghost") == "executor 'ghost' is not installed"
        assert [(found.id, found.enabled) for found, _, _ in registry.all()] == [("plugin", False)]

    def test_a_default_that_is_out_of_order_is_a_usage_error(self) -> None:
        registry = Registry(defaults={"b": "bad"})
        bad = named("bad", "b", name_max_length=5)
        registry.register(bad)

        with pytest.raises(UsageError, match="out of order: name_max_length is 5"):
            registry.resolve("b", has_container=False)


class TestConflicts:
    def test_two_for_a_type_need_a_default_and_the_key_is_named(self) -> None:
        registry = Registry()
        registry.register(named("a", "spark"))
        registry.register(named("b", "spark"))

        with pytest.raises(ConflictingExecutorsError, match=r"default_for_task_types\.spark"):
            registry.check_conflicts()

    def test_with_a_default_it_is_the_one(self) -> None:
        registry, b = Registry(defaults={"spark": "b"}), named("b", "spark")
        registry.register(named("a", "spark"))
        registry.register(b)

        registry.check_conflicts()

        assert registry.resolve("spark", has_container=False) is b

    def test_two_for_containers_need_a_default_too(self) -> None:
        registry = Registry()
        registry.register(named("a", "x", takes_containers=True))
        registry.register(named("b", "y", takes_containers=True))

        with pytest.raises(ConflictingExecutorsError, match=r"default_for_task_types\.container"):
            registry.check_conflicts()

    def test_a_default_that_is_not_installed_is_named_with_the_nearest(self) -> None:
        registry = Registry(defaults={"spark": "sprak"})
        registry.register(named("spark", "spark"))

        with pytest.raises(ConflictingExecutorsError, match="did you mean 'spark'"):
            registry.check_conflicts()


class TestResolve:
    KNOWN = Resolution(
        by_type={"spark": ["a"], "ray": ["b"]},
        defaults={"ray": "a"},
        container_takers=["pod"],
        ids=frozenset({"a", "b", "pod"}),
    )

    @pytest.mark.parametrize(
        ("task_type", "has_container", "wanted", "expected"),
        [
            ("spark", False, "", "a"),
            ("ray", False, "", "a"),
            ("ray", False, "b", "b"),
            ("anything", True, "", "pod"),
            ("spark", True, "", "a"),
        ],
    )
    def test_the_order_is_wanted_default_type_container(
        self, task_type: str, has_container: bool, wanted: str, expected: str
    ) -> None:
        assert resolve(self.KNOWN, task_type, has_container=has_container, wanted=wanted) == expected

    def test_an_unknown_type_names_the_nearest(self) -> None:
        with pytest.raises(UnknownTaskTypeError, match="did you mean 'spark'"):
            resolve(self.KNOWN, "sparc", has_container=False)

    def test_an_unknown_executor_names_the_nearest(self) -> None:
        with pytest.raises(UsageError, match=r"'pid' is not installed or not enabled \(did you mean 'pod'"):
            resolve(self.KNOWN, "spark", has_container=False, wanted="pid")


class TestDiscovery:
    def points(self, *values: str) -> list[EntryPoint]:
        return [EntryPoint(f"p{number}", value, "airscrew.executors") for number, value in enumerate(values)]

    def test_a_module_that_does_not_load_is_a_problem_of_its_own(self) -> None:
        found = discover(self.points("no_such_module:Executor", "airscrew.plugins.echo:EchoExecutor"))

        assert found[0].problem.startswith("ModuleNotFoundError")
        assert found[1].problem == ""
        assert found[1].make is not None

    @pytest.mark.parametrize("value", ["json:loads", "airscrew.engine.registry:Registry"])
    def test_what_is_no_executor_class_is_said(self, value: str) -> None:
        assert discover(self.points(value))[0].problem == f"{value} is no Executor class"

    def test_a_module_that_exits_does_not_take_the_engine_along(
        self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "exits_at_once.py").write_text("import sys; sys.exit('needs a licence')")
        monkeypatch.syspath_prepend(tmp_path)

        assert discover(self.points("exits_at_once:It"))[0].problem == "SystemExit: needs a licence"

    def test_they_are_sorted_by_name(self) -> None:
        found = discover(reversed(self.points("a:A", "b:B", "c:C")))

        assert [one.id for one in found] == ["p0", "p1", "p2"]


class _Boot(BootClock):
    def boot_id(self) -> str:
        return "boot"

    def uptime(self) -> float:
        return asyncio.get_running_loop().time()


async def parts_of(store: MemoryStore, registry: Registry) -> CoreParts:
    data = LocalDataPlane(
        store=store,
        storage=Storage(),
        base="memory://data",
        work_base="",
        secrets=Secrets([]),
        installation="i" * 32,
    )
    clock = LoopClock()
    return CoreParts(
        store=store,
        registry=registry,
        data=data,
        cache=StoreTaskCache.make(store, data, clock),
        clock=clock,
        boot=_Boot(),
        random=Random(7),
        watched=False,
    )


def request_for(name: str, task_type: str) -> SubmitRequest:
    return SubmitRequest(name=name, template=echo_template(task_type=task_type).SerializeToString())


async def test_task_types_that_an_executor_learns_of_later_are_found() -> None:
    executor = named("plugin", "known")
    registry = Registry()
    registry.register(executor)
    with pytest.raises(UnknownTaskTypeError):
        registry.resolve("learnt", has_container=False)

    vars(executor)["task_types"] = ("known", "learnt")

    assert registry.resolve("learnt", has_container=False) is executor
