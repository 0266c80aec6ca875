"""Every block of the documents at work: what runs in this process, and what the engine runs."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from pathlib import Path
from typing import Any

import by_hand
import harness
import pytest

BLOCKS = Path(__file__).parent / "blocks"
IMPORTS = {"PYTHONPATH": str(BLOCKS)}


def template_of(template: bytes) -> Any:
    from flyteidl.core import tasks_pb2

    return tasks_pb2.TaskTemplate.FromString(template)


def serialized2(task: Any) -> Any:
    from flyteidl2.task import task_definition_pb2

    return task_definition_pb2.TaskSpec.FromString(harness.serialize2(task, root=BLOCKS))


# ---- 000: core extensibility mechanisms (flytekit)


def test_seed0_the_executor_and_its_task_run_locally() -> None:
    block = harness.load("seed0_custom_task")

    assert harness.local_call(block.my_task, input_arg=21) == 42


def test_seed0_the_custom_task_carries_its_value_and_its_executor() -> None:
    template = template_of(harness.serialize(harness.load("seed0_custom_task").my_task))

    assert template.type == "my-custom-task"
    assert dict(template.custom) == {"my_custom_key": "hello"}
    assert list(template.container.args)[-2:] == ["{{.taskTemplatePath}}", "seed0_executor.MyCustomExecutor"]


def test_seed0_the_custom_task_runs_from_its_template_alone(tmp_path: Path) -> None:
    from flyteidl.core import literals_pb2

    task = harness.load("seed0_custom_task").my_task
    template = harness.serialize(task)
    inputs = harness.to_literals(task, {"input_arg": 21}).SerializeToString()

    ended = by_hand.run(
        template_of(template).container, inputs, by_hand.Attempt(folder=tmp_path), template=template, env=IMPORTS
    )

    assert ended.code == 0, ended.log
    assert "Executing with custom data: hello" in ended.log
    assert harness.from_literals(task, ended.read("outputs.pb", literals_pb2.LiteralMap)) == {"o0": 42}


def test_seed0_the_registered_plugin_replaces_the_function() -> None:
    block = harness.load("seed0_task_plugin")

    assert isinstance(block.my_plugin_workflow_task, block.MyPluginTask)
    assert harness.local_call(block.my_plugin_workflow_task, input_val="x") == "Plugin executed successfully"
    assert template_of(harness.serialize(block.my_plugin_workflow_task)).type == "my-plugin"


def test_seed0_a_reference_has_an_identity_and_an_interface_and_nothing_to_run() -> None:
    from flytekit.tools.translator import get_serializable

    block = harness.load("seed0_reference_task")

    workflow = get_serializable(OrderedDict(), harness.settings(), block.my_workflow)
    reference = workflow.template.nodes[0].task_node.reference_id

    assert (reference.project, reference.name, reference.version) == (
        "flyteexamples",
        "my_pre_existing_task",
        "v1.0.0",
    )
    assert block.my_remote_task.python_interface.inputs == {"x": int, "y": str}


def test_seed0_the_custom_task_runs_on_the_engine(airscrew_run: Any) -> None:
    from flyteidl.core import literals_pb2

    task = harness.load("seed0_custom_task").my_task

    inputs = harness.to_literals(task, {"input_arg": 21}).SerializeToString()

    outputs = airscrew_run(harness.serialize(task), inputs, environment=IMPORTS)

    assert harness.from_literals(task, literals_pb2.LiteralMap.FromString(outputs)) == {"o0": 42}


def test_seed0_the_registered_plugin_runs_on_the_engine(airscrew_run: Any) -> None:
    from flyteidl.core import literals_pb2

    task = harness.load("seed0_task_plugin").my_plugin_workflow_task

    inputs = harness.to_literals(task, {"input_val": "x"}).SerializeToString()
    outputs = airscrew_run(harness.serialize(task), inputs, environment=IMPORTS)

    read = harness.from_literals(task, literals_pb2.LiteralMap.FromString(outputs))
    assert read == {"o0": "Plugin executed successfully"}


# ---- 003: custom task templates (Flyte 2)


def test_seed3_the_registry_knows_the_echo_configuration() -> None:
    from flyte.extend import TaskPluginRegistry

    block = harness.load("seed3_echo_task")

    assert TaskPluginRegistry.find(block.EchoConfig) is block.EchoTask


def test_seed3_a_task_with_the_echo_configuration_is_an_echo_task() -> None:
    used = harness.load("seed3_echo_used")

    template = serialized2(used.say).task_template

    assert isinstance(used.say, harness.load("seed3_echo_task").EchoTask)
    assert template.type == "echo"
    assert dict(template.custom) == {"verbose": True}


def test_seed3_forward_calls_the_function_and_no_hook() -> None:
    used = harness.load("seed3_echo_used")

    assert asyncio.run(used.say.forward("a")) == "aa"
    assert asyncio.run(used.say("a")) == "aa"
    with pytest.raises(KeyError, match="HOOKS"):
        used.note("the hooks would need HOOKS, which is not set here")


def test_seed3_pre_and_post_run_once_each_around_a_sync_function(tmp_path: Path) -> None:
    from flyteidl2.task import common_pb2

    task = harness.load("seed3_echo_used").say_watched
    hooks = tmp_path / "hooks"
    inputs = harness.to_inputs2(task, {"text": "hello"}).SerializeToString()
    container = serialized2(task).task_template.container

    ended = by_hand.run(container, inputs, by_hand.Attempt(folder=tmp_path), env=IMPORTS | {"HOOKS": str(hooks)})

    assert ended.code == 0, ended.log
    said = "hello from made by pre"
    assert harness.from_outputs2(task, ended.read("outputs.pb", common_pb2.Outputs)) == said
    assert hooks.read_text().splitlines() == ["pre {'text': 'hello'}", f"post {said}"]


def test_seed3_overridden_resources_are_in_what_is_rendered() -> None:
    block = harness.load("seed3_override")

    def requests(task: Any) -> dict[str, str]:
        resources = serialized2(task).task_template.container.resources
        return {resources.ResourceName.Name(entry.name): entry.value for entry in resources.requests}

    assert requests(block.my_task) == {"CPU": "1", "MEMORY": "1Gi"}
    assert requests(block.custom_task) == {"CPU": "2", "MEMORY": "2Gi"}
    assert block.custom_task(3) == block.my_task.forward(3) == 4


@pytest.mark.parametrize("field", ["name", "image", "docs", "interface"])
def test_seed3_an_immutable_field_cannot_be_overridden(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field.capitalize()} cannot be overridden"):
        harness.load("seed3_override").my_task.override(**{field: "other"})


@pytest.mark.parametrize("field", ["resources", "env_vars", "secrets"])
def test_seed3_a_reusable_task_keeps_its_environment_until_it_is_not_reusable(field: str) -> None:
    import flyte

    value = {"resources": flyte.Resources(cpu="2"), "env_vars": {"A": "b"}, "secrets": "token"}[field]
    reusable = harness.load("seed3_override").my_task.override(reusable=flyte.ReusePolicy(replicas=1))

    with pytest.raises(ValueError, match="when reusable is set"):
        reusable.override(**{field: value})
    assert getattr(reusable.override(reusable="off", **{field: value}), field) == value


def batch_job() -> Any:
    pytest.importorskip("prometheus_client", reason="flyte.connectors needs the extra flyte[connector]")
    return harness.load("seed3_batch_job")


def test_seed3_a_connector_task_has_a_type_a_custom_message_and_no_image() -> None:
    block = batch_job()
    task = block.BatchJobTask("job", block.BatchJobConfig(timeout_seconds=60), {"x": int}, {"y": int})
    task.parent_env_name = "jobs"

    template = serialized2(task).task_template

    assert template.type == "batch_job"
    assert dict(template.custom) == {"timeout_seconds": 60.0}
    assert (template.container.image, list(template.container.args)) == ("", [])


def test_seed3_a_connector_task_looks_for_its_connector_when_it_is_executed() -> None:
    block = batch_job()
    task = block.BatchJobTask("job", block.BatchJobConfig())

    from flyte.connectors import ConnectorRegistry

    with pytest.raises(Exception, match="Cannot find connector for task type: batch_job"):
        ConnectorRegistry.get_connector(task.task_type, task.task_type_version)


def test_seed3_the_echo_task_runs_on_the_engine(airscrew_run: Any, tmp_path: Path) -> None:
    """The type ``echo`` has an executor of its own, which runs no function: the process is asked for by name."""
    from flyteidl2.task import common_pb2

    task = harness.load("seed3_echo_used").say_watched
    hooks = tmp_path / "hooks"
    inputs = harness.to_inputs2(task, {"text": "hello"}).SerializeToString()
    template = harness.serialize2(task, root=BLOCKS)

    outputs = airscrew_run(
        template, inputs, wire="flyte2", executor="process", environment=IMPORTS | {"HOOKS": str(hooks)}
    )

    assert harness.from_outputs2(task, common_pb2.Outputs.FromString(outputs)) == "hello from made by pre"
    assert [line.split()[0] for line in hooks.read_text().splitlines()] == ["pre", "post"]


def test_seed3_the_overridden_task_runs_on_the_engine(airscrew_run: Any) -> None:
    from flyteidl2.task import common_pb2

    task = harness.load("seed3_override").custom_task
    inputs = harness.to_inputs2(task, {"x": 3}).SerializeToString()

    outputs = airscrew_run(harness.serialize2(task, root=BLOCKS), inputs, wire="flyte2", environment=IMPORTS)

    assert harness.from_outputs2(task, common_pb2.Outputs.FromString(outputs)) == 4


def test_seed3_a_connector_task_runs_on_the_engine(tmp_path: Path) -> None:
    """Its connector is in the child process of a service: none is imported here."""
    import on_engine
    from flyteidl2.task import common_pb2

    block = batch_job()
    task = block.BatchJobTask("job", block.BatchJobConfig(timeout_seconds=60), {"x": int}, {"y": int, "limit": float})
    task.parent_env_name = "jobs"
    inputs = harness.to_inputs2(task, {"x": 21}).SerializeToString()
    served = {"sdk": "flyte", "modules": ["seed3_batch_connector"], "path": [str(BLOCKS)]}
    executors = {"connector": {"services": {"batch": {"in_process": served, "interval": 0.1}}}}

    async def run() -> Any:
        async with on_engine.engine_in(tmp_path / "home", executors) as api:
            return await on_engine.run(api, harness.serialize2(task, root=BLOCKS), inputs, wire="flyte2")

    ran = asyncio.run(run())

    assert ran.phase == "Success", ran.why
    assert "at work" in {view.reason for view in ran.views}
    assert harness.from_outputs2(task, common_pb2.Outputs.FromString(ran.outputs)) == (42, 60.0)


# ---- 004: extending Flyte (flytekit)


def test_seed4_a_task_is_chosen_by_its_configuration() -> None:
    block = harness.load("seed4_task_config")

    template = template_of(harness.serialize(block.foo))

    assert template.type == "my-container-execution"
    assert dict(template.custom) == {"a": "a", "b": 3.0}
    assert harness.local_call(block.foo, x=1) == 2


def test_seed4_the_configured_task_runs_on_the_engine(airscrew_run: Any) -> None:
    from flyteidl.core import literals_pb2

    task = harness.load("seed4_task_config").foo

    inputs = harness.to_literals(task, {"x": 1}).SerializeToString()
    outputs = airscrew_run(harness.serialize(task), inputs, environment=IMPORTS)

    assert harness.from_literals(task, literals_pb2.LiteralMap.FromString(outputs)) == {"o0": 2}
