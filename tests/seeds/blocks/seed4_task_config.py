"""Seed 004, "Add a New Task Plugin", first block: a task chosen by its configuration."""

# Mend 10: imports, and the plugin that the document leaves to its reader.
from dataclasses import dataclass

from flytekit import PythonFunctionTask, task
from flytekit.extend import TaskPlugins


@dataclass
class MyContainerExecutionTask:
    plugin_specific_config_a: str
    plugin_specific_config_b: int


class MyContainerExecutionFunctionTask(PythonFunctionTask[MyContainerExecutionTask]):
    def __init__(self, task_config, task_function, **kwargs):
        super().__init__(task_config, task_function, task_type="my-container-execution", **kwargs)

    def get_custom(self, settings):
        return {"a": self.task_config.plugin_specific_config_a, "b": self.task_config.plugin_specific_config_b}


TaskPlugins.register_pythontask_plugin(MyContainerExecutionTask, MyContainerExecutionFunctionTask)


@task(task_config=MyContainerExecutionTask(
    plugin_specific_config_a="a",  # Mend 11: the document's dots stand for values
    plugin_specific_config_b=3,
))
def foo(x: int) -> int:
    return x + 1
