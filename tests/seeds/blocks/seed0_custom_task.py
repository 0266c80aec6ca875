"""Seed 000, "Define the Custom Task"."""

# Mend 1: dedented; the block stands inside a list in the document.
from flytekit.core.python_customized_container_task import PythonCustomizedContainerTask
from flytekit.core.python_auto_container import PythonTask
from flytekit.core.shim_task import ShimTaskExecutor
from flytekit.core.base_task import TaskMetadata
from flytekit.core.resources import Resources  # Mend 2: was flytekit.models.resources, which is gone
from flytekit.models.core.identifier import ResourceType
from flytekit.models import task as _task_model
from flytekit.models import interface as interface_models
from flytekit.models import literals as literal_models
from flytekit.core.type_engine import TypeEngine
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.interface import Interface
from flytekit.core.task import TaskMetadata
from flytekit.core.base_task import PythonTask
from flytekit.core.python_customized_container_task import TaskTemplateResolver
from flytekit.core.python_customized_container_task import default_task_template_resolver
from flytekit.configuration import Image, ImageConfig, SerializationSettings
from typing import Dict, Any, Type, Optional, List

from seed0_executor import MyCustomExecutor  # Mend 3: the document's earlier block

class MyCustomTask(PythonCustomizedContainerTask[Any]):
    def __init__(self, name: str, container_image: str, my_custom_value: str, **kwargs):
        super().__init__(
            name=name,
            task_config=None, # No specific task config for this example
            container_image=container_image,
            executor_type=MyCustomExecutor,
            task_type="my-custom-task",
            **kwargs,
        )
        self._my_custom_value = my_custom_value

    def get_custom(self, settings: SerializationSettings) -> Dict[str, Any]:
        # This data will be available in tt.custom within MyCustomExecutor
        return {"my_custom_key": self._my_custom_value}

# Example usage:
# @task(task_config=MyCustomTask(name="my_task", container_image="my_image", my_custom_value="hello"))
# def my_workflow_task(input_arg: int) -> int:
#     ... # The Python function body is not executed; MyCustomExecutor handles it.

# Mend 4: the usage above cannot work (a task is no task_config); the task is made as its class asks for.
my_task = MyCustomTask(
    name="my_task",
    container_image="my_image",
    my_custom_value="hello",
    interface=Interface({"input_arg": int}, {"o0": int}),
)
