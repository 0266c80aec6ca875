"""Seed 000, "Registering Task Plugins"."""

from flytekit.core.task import TaskPlugins, PythonFunctionTask
from dataclasses import dataclass
from typing import Any  # Mend 5: used below and not imported

from flytekit import task  # Mend 6: the usage, which the document has as a comment, is run

@dataclass
class MyPluginConfig:
    message: str

class MyPluginTask(PythonFunctionTask):
    # Mend 7: was (self, name: str, task_config, **kwargs); @task passes the configuration and the function by position,
    # and PythonFunctionTask makes the name itself.
    def __init__(self, task_config: MyPluginConfig, task_function, **kwargs):
        super().__init__(task_type="my-plugin", task_config=task_config, task_function=task_function, **kwargs)

    def execute(self, **kwargs) -> Any:
        print(f"MyPluginTask received config message: {self.task_config.message}")
        print(f"MyPluginTask received inputs: {kwargs}")
        return "Plugin executed successfully"

# Register the plugin
TaskPlugins.register_pythontask_plugin(MyPluginConfig, MyPluginTask)

# Now, when you define a task with MyPluginConfig, MyPluginTask will be used
@task(task_config=MyPluginConfig(message="Hello from my plugin!"))
def my_plugin_workflow_task(input_val: str) -> str:
    return input_val # This function body is replaced by MyPluginTask.execute
